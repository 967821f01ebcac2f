"""The plan of a training: the action for each segment and fallback level, decided before anything is fitted.

The coordinator and the workers reach the same decisions from the same tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
from domain.data.partitioning import fallback_keys
from models.training.fingerprints import level_fingerprint, training_fingerprint

__all__ = ["Action", "PreviousModel", "SegmentPlan", "leave_out", "plan_levels", "plan_segments"]

Action = Literal["select", "refit", "reuse", "fallback", "skip"]
"""Let all candidates compete; refit the present one; keep the model; too few rows for a model; no rows at all."""


@dataclass(frozen=True)
class PreviousModel:
    """The facts about a segment's present challenger on which its plan depends."""

    fingerprint: str
    candidate: str
    refits: int
    rows: int


@dataclass(frozen=True)
class SegmentPlan:
    """The action for one segment or level, and the reason for it.

    Parameters
    ----------
    candidate : to refit, or of the model that is reused.
    refits : refits since candidates last competed.
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
    profiles: Iterable[Mapping[str, Any]], previous: Mapping[str, PreviousModel], fleet: Fleet, settings: str
) -> list[SegmentPlan]:
    """Plan each profile (a row of the `segments` table); `settings` is the fingerprint of the settings."""
    plans = []
    for profile in profiles:
        segment, rows = profile["segment"], profile["rows"] - profile["excluded"]
        fingerprint = training_fingerprint(profile["fingerprint"], settings)
        if rows == 0:
            plans.append(SegmentPlan(segment, "skip", "every row is excluded as an outlier", fingerprint))
        elif rows < fleet.partition.min_rows:
            plans.append(_too_short(segment, rows, fleet, fingerprint))
        else:
            planned = _plan(segment, fingerprint, previous.get(segment), fleet)
            plans.append(replace(planned, rows=rows))
    return plans


def plan_levels(
    profiles: Iterable[Mapping[str, Any]],
    previous: Mapping[str, PreviousModel],
    fleet: Fleet,
    settings: str,
    counted: Mapping[str, int] = MappingProxyType({}),
) -> list[SegmentPlan]:
    """Plan each fallback level that has rows; whether they are enough is known only once they are read.

    counted : rows of levels that have been read.
    """
    known = [profile for profile in profiles if profile["rows"]]
    members: dict[str, list[Mapping[str, Any]]] = {}
    for keys in fallback_keys([profile["segment"] for profile in known], fleet).values():
        for profile, key in zip(known, keys, strict=True):
            members.setdefault(key, []).append(profile)
    return [
        _plan_level(key, members[key], previous.get(key), fleet, settings, counted.get(key)) for key in sorted(members)
    ]


def leave_out(planned: SegmentPlan, previous: PreviousModel | None, reason: str) -> SegmentPlan:
    """Plan a segment or level that is not part of this training: it keeps its model, and gets none if it has none."""
    if previous is not None:
        kept = replace(planned, action="reuse", reason=reason, fingerprint=previous.fingerprint)
        return replace(kept, candidate=previous.candidate, rows=previous.rows)
    return replace(planned, action="skip", reason=reason) if planned.trains else planned


def _plan_level(
    key: str,
    members: Sequence[Mapping[str, Any]],
    previous: PreviousModel | None,
    fleet: Fleet,
    settings: str,
    counted: int | None,
) -> SegmentPlan:
    """Plan a level; members : profiles of its segments, which have at least as many rows as the level."""
    rows = level_fingerprint(member["fingerprint"] for member in members)
    planned = _plan(key, training_fingerprint(rows, settings), previous, fleet)
    most = sum(member["rows"] - member["excluded"] for member in members) if counted is None else counted
    if previous is not None and planned.action == "reuse":
        most = previous.rows
    enough = most >= fleet.partition.min_rows
    return replace(planned, rows=most) if enough else _too_short(key, most, fleet, planned.fingerprint)


def _too_short(segment: str, rows: int, fleet: Fleet, fingerprint: str) -> SegmentPlan:
    reason = f"{rows} rows, fewer than partition.min_rows = {fleet.partition.min_rows}"
    return SegmentPlan(segment, "fallback", reason, fingerprint)


def _plan(segment: str, fingerprint: str, previous: PreviousModel | None, fleet: Fleet) -> SegmentPlan:
    if previous is None:
        return SegmentPlan(segment, "select", "had no model", fingerprint)
    if previous.fingerprint == fingerprint:
        return SegmentPlan(segment, "reuse", "rows and settings are unchanged", fingerprint, previous.candidate)
    policy = fleet.retraining
    if policy.policy == "frozen":
        reason = "rows or settings changed, but retraining.policy is frozen"
        return SegmentPlan(segment, "reuse", reason, previous.fingerprint, previous.candidate)
    due = policy.policy == "reselect" and previous.refits + 1 >= policy.every
    if due or not _competes(previous.candidate, fleet):
        return SegmentPlan(segment, "select", "rows or settings changed", fingerprint)
    reason = f"rows or settings changed; {previous.candidate} refitted as retraining says"
    return SegmentPlan(segment, "refit", reason, fingerprint, previous.candidate, previous.refits + 1)


def _competes(candidate: str, fleet: Fleet) -> bool:
    """Return True if the candidate still competes in the fleet."""
    if candidate == ENSEMBLE:
        return fleet.combine and len(fleet.candidates) > 1
    return candidate in {config.name for config in fleet.candidates}
