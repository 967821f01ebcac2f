"""Plan: what a training will do with every segment, before anything heavy starts."""

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
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import category_column, observations
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
    """What will be done with each segment.

    segments : bucket -> plans. levels : of the fallback levels. vanished : segment -> why, of those whose rows are all
    quarantined. stale : buckets that hold challengers of segments that are gone.
    """

    contract: FeatureSpec
    buckets: int
    segments: Mapping[int, Sequence[SegmentPlan]]
    levels: Sequence[SegmentPlan]
    vanished: Mapping[str, str]
    stale: frozenset[int]

    @property
    def actions(self) -> Counter[str]:
        """Segments by what will be done."""
        counts = Counter[str](each.action for planned in self.segments.values() for each in planned)
        return counts + Counter(skip=len(self.vanished))

    @property
    def models(self) -> int:
        """Models of segments and levels that will be trained."""
        return sum(each.trains for planned in (*self.segments.values(), self.levels) for each in planned)

    @property
    def work(self) -> list[int]:
        """Buckets with something to do."""
        needed = {bucket for bucket, planned in self.segments.items() if any(each.trains for each in planned)}
        if any(each.trains for each in self.levels):
            needed.add(FALLBACK_BUCKET)
        return sorted(needed | self.stale)

    def weight(self, bucket: int) -> int:
        """Rows to train on; those of fallback levels are the rows of their segments, which are read for them."""
        planned = self.levels if bucket == FALLBACK_BUCKET else self.segments.get(bucket, ())
        return sum(each.rows for each in planned if each.trains)


def plan_training(run: Run) -> TrainingPlan:
    """The plan of a training on the tables as they are; an empty one before the first partition."""
    buckets = recorded_buckets(run)
    contract = feature_spec_of(run.fleet, _categories(run))
    settings = settings_fingerprint(run.fleet, contract)
    former = former_models(run.context)
    segments = planned_buckets(run.context, former, settings)
    levels = planned_levels(run.context, former.get(FALLBACK_BUCKET, {}), settings)
    kept = {bucket: {each.segment for each in planned if _keeps(each)} for bucket, planned in segments.items()}
    kept[FALLBACK_BUCKET] = {each.segment for each in levels if _keeps(each)}
    stale = frozenset(bucket for bucket, models in former.items() if models.keys() - kept.get(bucket, set()))
    return TrainingPlan(contract, buckets, segments, levels, vanished_segments(run.context), stale)


def estimate_training(run: Run, workers: int, folder: Path) -> Estimate:
    """What the run will train and take, from what is planned; told as progress of the stage `plan`.

    folder : of the fleet's reports, which know what `myriad size` measured and what former runs took.
    """
    plan = plan_training(run)
    trained = [each for planned in plan.segments.values() for each in planned if each.trains]
    segments, levels = sum(plan.actions.values()), sum(each.trains for each in plan.levels)
    plain = estimate_run(
        run.fleet,
        segments=len(trained),
        levels=levels,
        rows=sum(each.rows for each in trained),
        scored=segments * run.fleet.steps,
        workers=workers,
        scoring=segments,
    )
    found = _learnt(run, plan, plain, folder)
    fallback = format_count(levels, "fallback model")
    told = f"{len(trained):,} of {segments:,} segments and {fallback} to train: about "
    size = f"{format_duration(found.train_seconds + found.score_seconds)}, {format_bytes(found.peak_memory_bytes)}"
    emit(Progress("plan", segments, segments, f"{told}{size}, by {found.basis}"))
    return found


def _learnt(run: Run, plan: TrainingPlan, plain: Estimate, folder: Path) -> Estimate:
    """The estimate by what is known of this fleet, the newest first; the built-in figures where nothing is."""
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
    """The most frequent values of each categorical column, in order of the alphabet."""
    found = {}
    for name in run.fleet.features.categorical:
        column = category_column(name)
        counts: Counter[str] = Counter()
        table = run.table(observations(run.fleet))
        for file in table.files():
            values = table.read_files([file], [column])[column].value_counts()
            counts.update({pair["values"]: pair["counts"] for pair in pa.array(values).to_pylist()})
        counts.pop(None, None)  # type: ignore[call-overload]
        common = sorted(counts, key=lambda value: (-counts[value], value))[: run.fleet.features.max_levels]
        found[name] = tuple(sorted(common))
    return found
