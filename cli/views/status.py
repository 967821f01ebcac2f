"""Output of `myriad status` for one fleet, all fleets and segments, and of `myriad report`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from adapters.lake.report_files import ReportFile
from cli.views.tables import Section, print_sections, text_bar
from domain.reporting.fleet_status import FleetStatus, InputsView, PredictionsView, ReleaseView, RunView, SegmentLine
from domain.reporting.formatting import format_count, format_duration, format_percent
from domain.reporting.segment_view import describe_level

__all__ = [
    "describe_source",
    "print_fleets",
    "print_report",
    "print_reports",
    "print_segment_lines",
    "print_status",
    "time_text",
]

_MAX_REFUSED = 5  # refused files listed by name
_ROLES = {"observations": "training", "requests": "scoring", "actuals": "actuals"}


def print_status(status: FleetStatus) -> None:
    """Print the status of one fleet; next steps come last."""
    print_sections(_sections(status))


def print_fleets(lake: str, statuses: Sequence[FleetStatus]) -> None:
    """Print one line per fleet."""
    if not statuses:
        print(f"no fleets in {lake}; make one: myriad new DATA, or myriad sample m3 and myriad run m3")
    header = ("fleet", "segments", "release", "since", "last training", "predictions", "quarantined", "next step")
    rows = [_fleet_row(status) for status in statuses]
    print_sections([Section(f"lake {lake}", rows, header, numbers=frozenset({1, 5, 6}))])


def _fleet_row(status: FleetStatus) -> tuple[str, ...]:
    release = status.release
    return (
        status.fleet,
        f"{status.segments:,}",
        str(release.number) if release else "none",
        time_text(release.made_at) if release else "",
        _outcomes(status.runs[0].outcomes) if status.runs else "none",
        f"{status.predictions.rows if status.predictions else 0:,}",
        f"{sum(count.rows for count in status.quarantine):,}",
        status.next[0] if status.next else "nothing to do",
    )


def print_segment_lines(lines: Sequence[SegmentLine]) -> None:
    """Print one line per segment."""
    if not lines:
        print("no segments")
    header = ("segment", "outcome", "candidate", "reason", "held by")
    rows = [(line.segment, line.outcome, line.candidate, line.reason, line.held) for line in lines]
    print_sections([Section(format_count(len(lines), "segment"), rows, header)])


def print_report(report: ReportFile) -> None:
    """Print only the path, for use in other commands."""
    print(report.path)


def print_reports(reports: Sequence[ReportFile]) -> None:
    """Print one line per report."""
    rows = [(report.run_id, time_text(report.written_at), str(report.path)) for report in reports]
    print_sections([Section(format_count(len(rows), "report"), rows, ("run", "written", "path"))])


def time_text(value: datetime | None) -> str:
    """Format a UTC time to the minute, or as a date if it is midnight."""
    if value is None:
        return "–"
    whole_day = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
    return f"{value:%Y-%m-%d}" if whole_day else f"{value:%Y-%m-%d %H:%M}"


def _sections(status: FleetStatus) -> Iterator[Section]:
    yield Section(f"fleet {status.fleet}", list(_overview(status)))
    if status.runs:
        yield Section(f"segments, training {status.runs[0].run_id}", _shares(status.runs[0].outcomes))
    if status.release:
        yield Section(f"champions, release {status.release.number}", _shares(status.release.candidates))
    if status.predictions:
        yield Section(f"predictions, job {status.predictions.job_id}", list(_prediction_rows(status.predictions)))
    rows = [(_stage(count.stage), count.reason, f"{count.rows:,}") for count in status.quarantine]
    yield Section("quarantine", rows, ("stage", "reason", "rows"), numbers=frozenset({2}))
    header = ("inputs", "files", "rows", "accepted", "newest", "ingested")
    inputs = [_input_row(role_inputs) for role_inputs in status.inputs]
    yield Section("inputs", inputs, header, numbers=frozenset({1, 2, 3}))
    yield Section("refused files", list(_refused(status.inputs)))
    runs = [_run_row(run) for run in status.runs]
    yield Section("runs", runs, ("training", "ended", "outcomes", "duration", "vs. estimate"), numbers=frozenset({3}))
    yield Section("next", [(line,) for line in status.next or ("nothing to do",)])


def _overview(status: FleetStatus) -> Iterator[tuple[str, str]]:
    yield "lake", status.lake
    segments = format_count(status.segments, "segment", zero="no")
    yield "data", f"{segments}, {format_count(status.rows, 'observation', zero='no')}"
    if status.at_work:
        yield "in progress", status.at_work
    yield "release", _release_text(status.release) if status.release else "none"
    if status.release and status.release.pinned:
        yield "pinned", ", ".join(status.release.pinned)
    if status.held:
        yield "held", f"{format_count(status.held, 'challenger')} in the newest promotion"


def _release_text(release: ReleaseView) -> str:
    retained = f", {format_count(len(release.kept), 'release')} kept" if len(release.kept) > 1 else ""
    models = f"{format_count(release.champions, 'champion')} + {format_count(release.levels, 'fallback model')}"
    how = f"{release.kind} of {format_count(release.changed, 'model')}, from {describe_source(release.source)}"
    return f"{release.number} since {time_text(release.made_at)}: {how}; {models}{retained}"


def describe_source(source: str) -> str:
    """Describe the origin of a release: a run, another release or a version."""
    return source if source.startswith(("release ", "version ")) else f"run {source}"


def _outcomes(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())


def _shares(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    total, width = sum(counts.values()), max((len(f"{count:,}") for count in counts.values()), default=1)
    return [
        (name, f"{count:>{width},}  {format_percent(count / total):>7}  {text_bar(count / total)}")
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _prediction_rows(predictions: PredictionsView) -> Iterator[tuple[str, str]]:
    scored = f"scored {time_text(predictions.scored_at)} with release {predictions.release or 'none'}"
    yield "rows", f"{predictions.job_rows:,} of {predictions.rows:,}, {scored}"
    if predictions.first_origin is not None:
        first, last = time_text(predictions.first_origin), time_text(predictions.last_origin)
        yield "origin", first if first == last else f"{first} to {last}"
    yield "status", _outcomes(predictions.statuses)
    yield "made by", ", ".join(f"{count:,} {describe_level(level)}" for level, count in predictions.levels.items())


def _stage(stage: str) -> str:
    return f"ingest of {stage}" if stage in _ROLES else stage


def _input_row(inputs: InputsView) -> tuple[str, ...]:
    figures = (f"{inputs.files:,}", f"{inputs.rows_read:,}", f"{inputs.rows_accepted:,}")
    return (_ROLES.get(inputs.role, inputs.role), *figures, inputs.newest, time_text(inputs.ingested_at))


def _refused(inputs: Sequence[InputsView]) -> Iterator[tuple[str, str]]:
    errors = [(role_inputs.role, error) for role_inputs in inputs for _, error in role_inputs.errors]
    yield from ((_ROLES.get(role, role), error) for role, error in errors[:_MAX_REFUSED])
    if len(errors) > _MAX_REFUSED:
        yield "", f"and {len(errors) - _MAX_REFUSED:,} more; --json lists all"


def _run_row(run: RunView) -> tuple[str, ...]:
    duration = format_duration(run.seconds) if run.seconds is not None else "–"
    return (run.run_id, time_text(run.finished_at), _outcomes(run.outcomes), duration, _ratios(run.against_estimate))


def _ratios(ratios: Mapping[str, float]) -> str:
    """Format the ratios of actual to estimated figures: `train × 0.83, score × 1.10, peak memory × 1.20`."""
    labels = {
        name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " "): ratio for name, ratio in ratios.items()
    }
    return ", ".join(f"{name} × {ratio:.2f}" for name, ratio in labels.items()) or "–"
