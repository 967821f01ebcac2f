"""Make the plans of a training from the tables; the same for the coordinator and for workers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from domain.data.fallback_levels import fallback_observations
from domain.data.segment_search import matches_pattern
from domain.data.tables import CHALLENGERS, SEGMENTS, levels
from models.training.plan import PreviousModel, SegmentPlan, leave_out, plan_levels, plan_segments
from tasks.workers.run_context import RunContext, in_bucket

__all__ = ["former_models", "planned_buckets", "planned_levels"]

_PROFILE = ["segment", "rows", "excluded", "fingerprint", "bucket"]
_FORMER = ["segment", "fingerprint", "candidate", "refits", "rows", "bucket"]


def former_models(context: RunContext, bucket: int | None = None) -> dict[int, dict[str, PreviousModel]]:
    """The properties of present challengers that decide whether to train again, by bucket and segment."""
    models: dict[int, dict[str, PreviousModel]] = {}
    for row in context.table(CHALLENGERS).read(_FORMER, _of(bucket)).to_pylist():
        model = PreviousModel(row["fingerprint"], row["candidate"], row["refits"] or 0, row["rows"])
        models.setdefault(row["bucket"], {})[row["segment"]] = model
    return models


def planned_buckets(
    context: RunContext, former: Mapping[int, Mapping[str, PreviousModel]], settings: str, bucket: int | None = None
) -> dict[int, Sequence[SegmentPlan]]:
    """Plan the segments that have observations, by bucket. bucket : only this one; default all."""
    profiles: dict[int, list[dict[str, object]]] = {}
    for row in context.table(SEGMENTS).read(_PROFILE, _of(bucket)).to_pylist():
        profiles.setdefault(row["bucket"], []).append(row)
    plans = {
        number: plan_segments(rows, former.get(number, {}), context.fleet, settings)
        for number, rows in sorted(profiles.items())
    }
    if not context.part:
        return dict(plans)
    return {number: _in_part(context, planned, former.get(number, {})) for number, planned in plans.items()}


def _in_part(
    context: RunContext, plans: Sequence[SegmentPlan], former: Mapping[str, PreviousModel]
) -> list[SegmentPlan]:
    """Leave out the segments that the run is not for."""
    reason = f"not part of this run, which is for {context.part}"
    return [
        planned
        if matches_pattern(planned.segment, context.part)
        else leave_out(planned, former.get(planned.segment), reason)
        for planned in plans
    ]


def planned_levels(context: RunContext, former: Mapping[str, PreviousModel], settings: str) -> list[SegmentPlan]:
    """Plan the fallback levels; a run for a part of the fleet leaves them out, as models of all of it."""
    profiles = context.table(SEGMENTS).read(_PROFILE).to_pylist()
    plans = plan_levels(profiles, former, context.fleet, settings)
    if context.part:
        reason = f"not part of this run, which is for {context.part}"
        return [leave_out(planned, former.get(planned.segment), reason) for planned in plans]
    without = [planned.segment for planned in plans if planned.trains and planned.segment not in former]
    if not (former and without and context.fleet.task_type.periodic):
        return plans
    # These were too short before, or failed. Counting their periods saves a training that would find out again.
    return plan_levels(profiles, former, context.fleet, settings, _periods(context, without))


def _periods(context: RunContext, keys: Sequence[str]) -> Mapping[str, int]:
    """Count the periods that each of these levels would be trained on."""
    sums = context.table(levels(context.fleet)).read()
    chosen = sums.filter(pc.is_in(sums["level"], pa.array(keys, pa.string())))
    counts = Counter(fallback_observations(chosen, context.fleet)["segment"].to_pylist())
    return {key: counts[key] for key in keys}


def _of(bucket: int | None) -> Callable[[Mapping[str, str]], bool]:
    return (lambda partition: True) if bucket is None else in_bucket(bucket)
