"""Plan a training: decide on every segment before anything heavy starts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from adapters.compute.measured_costs import full_run, read_cost_model
from adapters.compute.progress import Progress, emit
from domain.capacity.calibrated_estimate import by_cost_model, by_previous_run, is_newer
from domain.capacity.estimate import estimate_run
from domain.checks.findings import Estimate
from domain.data.segment_search import matches_pattern, suggest_closest
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import category_column, feature_column, observations
from domain.errors import RequestError
from domain.reporting.formatting import format_bytes, format_count, format_duration
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.training.fingerprints import cost_fingerprint, settings_fingerprint
from models.training.plan import SegmentPlan
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.sizing.workload import score_work, train_work
from tasks.workers.plan import former_models, planned_buckets, planned_levels
from tasks.workers.vanished import vanished_segments

__all__ = ["TrainingPlan", "estimate_training", "plan_training"]


@dataclass(frozen=True)
class TrainingPlan:
    """Planned action for each segment and fallback level.

    segments : bucket -> plans. levels : plans of the fallback levels. vanished : segment -> reason, for segments whose
    rows are all in quarantine. stale : buckets with challengers of segments that no longer exist.
    """

    contract: FeatureSpec
    buckets: int
    segments: Mapping[int, Sequence[SegmentPlan]]
    levels: Sequence[SegmentPlan]
    vanished: Mapping[str, str]
    stale: frozenset[int]

    @property
    def actions(self) -> Counter[str]:
        """Return the number of segments per action."""
        counts = Counter[str](item.action for planned in self.segments.values() for item in planned)
        return counts + Counter(skip=len(self.vanished))

    @property
    def models(self) -> int:
        """Return the number of models to train, of segments and levels."""
        return sum(item.trains for planned in (*self.segments.values(), self.levels) for item in planned)

    @property
    def work(self) -> list[int]:
        """Return the buckets that have work to do."""
        needed = {bucket for bucket, planned in self.segments.items() if any(item.trains for item in planned)}
        if any(item.trains for item in self.levels):
            needed.add(FALLBACK_BUCKET)
        return sorted(needed | self.stale)

    def weight(self, bucket: int) -> int:
        """Return the rows to train on; for fallback levels, the rows of their segments, which have to be read."""
        planned = self.levels if bucket == FALLBACK_BUCKET else self.segments.get(bucket, ())
        return sum(item.rows for item in planned if item.trains)


def plan_training(run: Run) -> TrainingPlan:
    """Plan a training on the tables as they are; the plan is empty before the first partition."""
    buckets = recorded_buckets(run)
    contract = feature_spec_of(run.fleet, _categories(run), _blank_shares(run))
    settings = settings_fingerprint(run.fleet, contract)
    former = former_models(run.context)
    segments = planned_buckets(run.context, former, settings)
    levels = planned_levels(run.context, former.get(FALLBACK_BUCKET, {}), settings)
    present = {bucket: {item.segment for item in planned if _keeps(item)} for bucket, planned in segments.items()}
    present[FALLBACK_BUCKET] = {item.segment for item in levels if _keeps(item)}
    stale = frozenset(bucket for bucket, models in former.items() if models.keys() - present.get(bucket, set()))
    if run.context.part:
        _check_part(run, [item.segment for planned in segments.values() for item in planned])
        stale = frozenset()  # Clearing up is for a run of the whole fleet.
    return TrainingPlan(contract, buckets, segments, levels, vanished_segments(run.context), stale)


def _check_part(run: Run, segments: Sequence[str]) -> None:
    """Raise RequestError if no segment matches the pattern of the run."""
    part = run.context.part
    if segments and not any(matches_pattern(segment, part) for segment in segments):
        raise RequestError(
            f"fleet {run.fleet.name}: --segments {part}: none of {len(segments):,} segments matches; give a pattern of "
            f"keys or values, such as {segments[0]}{suggest_closest(part.strip('*'), segments)}"
        )


def estimate_training(run: Run, workers: int, folder: Path) -> Estimate:
    """Estimate time and memory of the planned training, and report them as progress of the stage `plan`.

    folder : reports of the fleet, with the costs measured by `myriad size` and the times of previous runs.
    """
    plan = plan_training(run)
    trained = [item for planned in plan.segments.values() for item in planned if item.trains]
    segments, levels = sum(plan.actions.values()), sum(item.trains for item in plan.levels)
    plain = estimate_run(
        run.fleet,
        segments=len(trained),
        levels=levels,
        rows=sum(item.rows for item in trained),
        scored=segments * run.fleet.steps,
        workers=workers,
        scoring=segments,
    )
    estimate = _learnt(run, plan, plain, folder)
    fallback = format_count(levels, "fallback model")
    scope = f"{len(trained):,} of {segments:,} segments and {fallback} to train: about "
    seconds = estimate.train_seconds + estimate.score_seconds
    size = f"{format_duration(seconds)}, {format_bytes(estimate.peak_memory_bytes)}"
    emit(Progress("plan", segments, segments, f"{scope}{size}, by {estimate.basis}"))
    return estimate


def _learnt(run: Run, plan: TrainingPlan, plain: Estimate, folder: Path) -> Estimate:
    """Refine the estimate by the newest figures measured for this fleet; without any, keep the built-in ones."""
    settings = cost_fingerprint(run.fleet)
    plain = replace(plain, settings=settings)
    rates, former = read_cost_model(folder, settings), full_run(folder, settings)
    if rates and not (former and is_newer(former, rates)):
        train = train_work(run, plan.segments, plan.levels)
        return by_cost_model(plain, rates, train, score_work(run, plan.buckets))
    if former is None or former.estimate is None:
        return plain
    then = estimate_run(
        run.fleet,
        segments=former.outcomes.trained,
        levels=former.level_models,
        rows=sum(stage.rows for stage in former.stages if stage.name == "train"),
        scored=former.predictions,
        workers=former.estimate.workers,
        scoring=former.segments,
    )
    return by_previous_run(plain, former, then)


def _keeps(planned: SegmentPlan) -> bool:
    return planned.action not in ("fallback", "skip")


def _categories(run: Run) -> Mapping[str, tuple[str, ...]]:
    """Return the most frequent values of each categorical column in alphabetical order."""
    categories = {}
    for name in run.fleet.features.categorical:
        column = category_column(name)
        counts: Counter[str] = Counter()
        table = run.table(observations(run.fleet))
        for file in table.files():
            values = table.read_files([file], [column])[column].value_counts()
            counts.update({pair["values"]: pair["counts"] for pair in pa.array(values).to_pylist()})
        counts.pop(None, None)  # type: ignore[call-overload]
        common = sorted(counts, key=lambda value: (-counts[value], value))[: run.fleet.features.max_levels]
        categories[name] = tuple(sorted(common))
    return categories


def _blank_shares(run: Run) -> Mapping[str, float]:
    """Return the share of blank cells of each numeric covariate."""
    table = run.table(observations(run.fleet))
    files, shares = table.files(), {}
    rows = max(sum(file.rows for file in files), 1)
    for name in run.fleet.features.numeric:
        column = feature_column(name)
        shares[name] = sum(table.read_files([file], [column])[column].null_count for file in files) / rows
    return shares
