"""Check a fleet against samples of its files before a run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from domain.capacity.estimate import estimate_run
from domain.checks.columns import column_facts, column_problems, missing_column_problems
from domain.checks.findings import Estimate, Findings, Problem, Role, SegmentFacts, SourceSample, WindowFacts
from domain.checks.rows import ValidatedSample, row_problems, source_facts, validate_sample
from domain.checks.scoring_window import missing_input_problems, window_facts, window_problems
from domain.checks.segments import SegmentRows, other_columns, segment_facts, segment_problems
from domain.checks.time_reading import frequency_changes, reading_problems
from domain.checks.times import fitting_frequency, time_facts, time_problems
from domain.config.fleet import Fleet
from domain.data.aggregation import aggregate_periods
from domain.data.partitioning import fallback_keys

__all__ = ["collect_findings"]


def collect_findings(
    fleet: Fleet, samples: Mapping[Role, SourceSample], workers: int, now: datetime | None = None
) -> Findings:
    """Collect the facts and problems that a run would meet; errors come first among the problems.

    samples : one per source that the fleet names, `source` among them. workers : processes that a run would use.
    now : to reject rows of the future by.
    """
    checked = {role: validate_sample(sample, fleet, role, now) for role, sample in samples.items()}
    problems: list[Problem] = []
    for role, sample in samples.items():
        problems += _source_problems(sample, checked[role], fleet, role)
    problems += missing_input_problems(fleet)
    training, chunks = checked["source"], samples["source"].chunks
    findings = Findings(
        fleet=fleet.name,
        task=fleet.task,
        sources=tuple(source_facts(samples[role], checked[role], fleet, role) for role in samples),
        columns=column_facts(chunks, training.accepted if training else None, fleet),
    )
    if training is not None and training.accepted.num_rows:
        findings, row_dependent = _inspect_rows(findings, training, fleet, samples, checked, workers)
        problems += row_dependent
    return replace(findings, problems=tuple(sorted(problems, key=lambda problem: problem.severity)))


def _source_problems(
    sample: SourceSample, checked: ValidatedSample | None, fleet: Fleet, role: Role
) -> Iterator[Problem]:
    if sample.error:
        yield Problem("error", role, sample.error)
    if sample.awaited:
        yield Problem("warning", role, f"{sample.awaited}; {_without_requests(fleet)}")
    yield from (Problem("warning", role, f"look at {remark}") for remark in sample.remarks)
    yield from missing_column_problems(sample.named, fleet, role)
    if checked is not None:
        yield from row_problems(checked, fleet, role)


def _without_requests(fleet: Fleet) -> str:
    """What a run does before there are rows to score, and what to do about it."""
    if not fleet.task_type.periodic:
        return (
            "the fleet can be trained and deployed, but nothing is predicted until a file is there: put rows to score "
            "there, or send them to an endpoint of the gateway"
        )
    names = [*fleet.features.known, *fleet.features.categorical]
    effect = f"carry the last known {', '.join(names)} forward" if names else "are made from the past alone"
    return f"until there is one, forecasts {effect}"


def _inspect_rows(
    findings: Findings,
    training: ValidatedSample,
    fleet: Fleet,
    samples: Mapping[Role, SourceSample],
    checked: Mapping[Role, ValidatedSample | None],
    workers: int,
) -> tuple[Findings, list[Problem]]:
    """Add what requires valid rows: segments, times, the overlap of the sources, and the estimate of a run."""
    sample, rows = samples["source"], SegmentRows.of(aggregate_periods(training.accepted, fleet, ("row",)), fleet)
    merged = training.accepted.num_rows - len(rows.codes)
    segments, time = replace(segment_facts(rows), merged=merged), time_facts(rows, _unrounded(rows, sample))
    frequency_problems = list(time_problems(time, rows)) if time else []
    others = other_columns(findings.columns, sample, fleet)
    segmentation_problems = list(segment_problems(segments, rows, others, whole=sample.whole))
    problems = [*column_problems(findings.columns, training.accepted, fleet), *frequency_problems]
    problems += [*reading_problems(sample.chunks, fleet), *frequency_changes(_unrounded(rows, sample))]
    problems += segmentation_problems
    findings = replace(findings, time=time, segments=segments)
    if any(problem.severity == "error" for problem in segmentation_problems):
        return findings, problems
    windows, overlap_problems = _compare_windows(rows, samples, checked)
    # Steps counted in the wrong frequency would only report the same problem again.
    if sample.whole and not frequency_problems:
        problems += overlap_problems
    scored = checked.get("score.source")
    estimate = _estimate(fleet, rows, segments, sample, scored.rows if scored else 0, workers)
    score, test = windows.get("score.source"), windows.get("test.source")
    return replace(findings, score=score, test=test, estimate=estimate), problems


def _compare_windows(
    rows: SegmentRows, samples: Mapping[Role, SourceSample], checked: Mapping[Role, ValidatedSample | None]
) -> tuple[dict[Role, WindowFacts], list[Problem]]:
    """Compare scoring input and actuals with the training data."""
    windows: dict[Role, WindowFacts] = {}
    problems: list[Problem] = []
    for role, window in checked.items():
        if role != "source" and window is not None and window.accepted.num_rows:
            whole = samples["source"].whole and samples[role].whole
            windows[role] = window_facts(window.accepted, rows, whole=whole)
            problems += window_problems(windows[role], window.accepted, rows, role)
    return windows, problems


def _unrounded(rows: SegmentRows, sample: SourceSample) -> SegmentRows:
    """The rows with unrounded times, where rounding to the fleet's frequency hides their distance."""
    fleet = rows.fleet
    if not fleet.task_type.periodic or fleet.time is None or fitting_frequency(rows)[0] != 0:
        return rows
    finer = fleet.model_copy(update={"time": fleet.time.model_copy(update={"frequency": "min"})})
    first = validate_sample(replace(sample, chunks=sample.chunks[:1]), finer, "source")
    return SegmentRows.of(first.accepted, finer) if first and first.accepted.num_rows else rows


def _estimate(
    fleet: Fleet, rows: SegmentRows, segments: SegmentFacts, sample: SourceSample, scored: int, workers: int
) -> Estimate:
    levels = sum(len(set(keys)) for keys in fallback_keys(list(rows.keys), fleet).values())
    share_read = 1.0 if sample.whole else max(sample.share_read, 1e-9)
    return estimate_run(
        fleet,
        segments=segments.count - segments.short,
        levels=levels,
        rows=round(len(rows.codes) / share_read),
        scored=segments.count * fleet.steps if fleet.task_type.periodic else scored,
        workers=workers,
    )
