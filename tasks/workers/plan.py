"""Plans of a training, read from the tables; the same for the coordinator and for workers."""

from collections.abc import Callable, Mapping, Sequence

from domain.data.tables import CHALLENGERS, SEGMENTS
from models.training.plan import PreviousModel, SegmentPlan, plan_levels, plan_segments
from tasks.workers.run_context import RunContext, in_bucket

__all__ = ["former_models", "planned_buckets", "planned_levels"]

_PROFILE = ["segment", "rows", "excluded", "fingerprint", "bucket"]
_FORMER = ["segment", "fingerprint", "candidate", "refits", "rows", "bucket"]


def former_models(context: RunContext, bucket: int | None = None) -> dict[int, dict[str, PreviousModel]]:
    """What decides of the present challengers, by bucket and segment; of one bucket only if one is given."""
    found: dict[int, dict[str, PreviousModel]] = {}
    for row in context.table(CHALLENGERS).read(_FORMER, _of(bucket)).to_pylist():
        model = PreviousModel(row["fingerprint"], row["candidate"], row["refits"] or 0, row["rows"])
        found.setdefault(row["bucket"], {})[row["segment"]] = model
    return found


def planned_buckets(
    context: RunContext, former: Mapping[int, Mapping[str, PreviousModel]], settings: str, bucket: int | None = None
) -> dict[int, Sequence[SegmentPlan]]:
    """Plans of the segments that have observations, by bucket; of one bucket only if one is given."""
    profiles: dict[int, list[dict[str, object]]] = {}
    for row in context.table(SEGMENTS).read(_PROFILE, _of(bucket)).to_pylist():
        profiles.setdefault(row["bucket"], []).append(row)
    return {
        number: plan_segments(rows, former.get(number, {}), context.fleet, settings)
        for number, rows in sorted(profiles.items())
    }


def planned_levels(context: RunContext, former: Mapping[str, PreviousModel], settings: str) -> list[SegmentPlan]:
    """Plans of the fallback levels."""
    return plan_levels(context.table(SEGMENTS).read(_PROFILE).to_pylist(), former, context.fleet, settings)


def _of(bucket: int | None) -> Callable[[Mapping[str, str]], bool]:
    return (lambda partition: True) if bucket is None else in_bucket(bucket)
