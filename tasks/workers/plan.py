"""Make the plans of a training from the tables; the same for the coordinator and for workers."""

from collections.abc import Callable, Mapping, Sequence

from domain.data.tables import CHALLENGERS, SEGMENTS
from models.training.plan import PreviousModel, SegmentPlan, plan_levels, plan_segments
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
    return {
        number: plan_segments(rows, former.get(number, {}), context.fleet, settings)
        for number, rows in sorted(profiles.items())
    }


def planned_levels(context: RunContext, former: Mapping[str, PreviousModel], settings: str) -> list[SegmentPlan]:
    """Plan the fallback levels."""
    return plan_levels(context.table(SEGMENTS).read(_PROFILE).to_pylist(), former, context.fleet, settings)


def _of(bucket: int | None) -> Callable[[Mapping[str, str]], bool]:
    return (lambda partition: True) if bucket is None else in_bucket(bucket)
