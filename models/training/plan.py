"""What a training will do with each segment and level, known before anything is fitted.

Coordinator and workers take the same decisions from the same tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
from domain.data.partitioning import fallback_keys
from models.training.fingerprints import level_fingerprint, training_fingerprint

__all__ = ["Action", "PreviousModel", "SegmentPlan", "plan_levels", "plan_segments"]

Action = Literal["select", "refit", "reuse", "fallback", "skip"]
"""All candidates compete; the present one on the new rows; nothing to do; too few rows for a model; no row at all."""


@dataclass(frozen=True)
class PreviousModel:
    """What decides of the present challenger of a segment."""

    fingerprint: str
    candidate: str
    refits: int
    rows: int


@dataclass(frozen=True)
class SegmentPlan:
    """What becomes of one segment, and why. candidate : the one to refit, or that of the reused model.

    rows : to train on; of a level, those of its segments together, or of the model that is reused.
    """

    segment: str
    action: Action
    reason: str
    fingerprint: str
    candidate: str = ""
    refits: int = 0
    rows: int = 0

    @property
    def trains(self) -> bool:
        return self.action in ("select", "refit")


def plan_segments(
    profiles: Iterable[Mapping[str, Any]], former: Mapping[str, PreviousModel], fleet: Fleet, settings: str
) -> list[SegmentPlan]:
    """A plan for each profile (row of the `segments` table), in their order. settings : their fingerprint."""
    found = []
    for profile in profiles:
        segment, rows = profile["segment"], profile["rows"] - profile["excluded"]
        fingerprint = training_fingerprint(profile["fingerprint"], settings)
        if rows == 0:
            found.append(SegmentPlan(segment, "skip", "every row is excluded as an outlier", fingerprint))
        elif rows < fleet.partition.min_rows:
            found.append(_too_short(segment, rows, fleet, fingerprint))
        else:
            planned = _plan(segment, fingerprint, former.get(segment), fleet)
            found.append(replace(planned, rows=rows))
    return found


def plan_levels(
    profiles: Iterable[Mapping[str, Any]], former: Mapping[str, PreviousModel], fleet: Fleet, settings: str
) -> list[SegmentPlan]:
    """A plan for each fallback level that has rows; whether they are enough is known only when they are read."""
    known = [profile for profile in profiles if profile["rows"]]
    members: dict[str, list[Mapping[str, Any]]] = {}
    for keys in fallback_keys([profile["segment"] for profile in known], fleet).values():
        for profile, key in zip(known, keys, strict=True):
            members.setdefault(key, []).append(profile)
    return [_plan_level(key, members[key], former.get(key), fleet, settings) for key in sorted(members)]


def _plan_level(
    key: str, members: Sequence[Mapping[str, Any]], former: PreviousModel | None, fleet: Fleet, settings: str
) -> SegmentPlan:
    """The plan of a level. members : profiles of its segments, which have at least as many rows as the level."""
    rows = level_fingerprint(member["fingerprint"] for member in members)
    planned = _plan(key, training_fingerprint(rows, settings), former, fleet)
    most = sum(member["rows"] - member["excluded"] for member in members)
    if former is not None and planned.action == "reuse":
        most = former.rows
    enough = most >= fleet.partition.min_rows
    return replace(planned, rows=most) if enough else _too_short(key, most, fleet, planned.fingerprint)


def _too_short(segment: str, rows: int, fleet: Fleet, fingerprint: str) -> SegmentPlan:
    reason = f"{rows} rows, fewer than partition.min_rows = {fleet.partition.min_rows}"
    return SegmentPlan(segment, "fallback", reason, fingerprint)


def _plan(segment: str, fingerprint: str, former: PreviousModel | None, fleet: Fleet) -> SegmentPlan:
    if former is None:
        return SegmentPlan(segment, "select", "had no model", fingerprint)
    if former.fingerprint == fingerprint:
        return SegmentPlan(segment, "reuse", "rows and settings are unchanged", fingerprint, former.candidate)
    policy = fleet.retraining
    if policy.policy == "frozen":
        reason = "rows or settings changed, but retraining.policy is frozen"
        return SegmentPlan(segment, "reuse", reason, former.fingerprint, former.candidate)
    due = policy.policy == "reselect" and former.refits + 1 >= policy.every
    if due or not _competes(former.candidate, fleet):
        return SegmentPlan(segment, "select", "rows or settings changed", fingerprint)
    reason = f"rows or settings changed; {former.candidate} refitted as retraining says"
    return SegmentPlan(segment, "refit", reason, fingerprint, former.candidate, former.refits + 1)


def _competes(candidate: str, fleet: Fleet) -> bool:
    """Whether the fleet still has the candidate."""
    if candidate == ENSEMBLE:
        return fleet.combine and len(fleet.candidates) > 1
    return candidate in {each.name for each in fleet.candidates}
