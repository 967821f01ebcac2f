"""Promote and roll back: one commit makes a release for the whole fleet; the registry's aliases follow."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow.dataset as ds

from adapters.compute.workers import WorkPendingError
from adapters.lake.staged_file import StagedFile
from adapters.registry import Registry
from domain.data.tables import CHALLENGERS, CHAMPIONS, VERDICTS
from domain.errors import PromotionError, RegistryError
from models.promotion.gates import Decision
from tasks.context import Run
from tasks.releases import (
    ALIAS,
    champion_rows,
    commit_release,
    current_release,
    kept_releases,
    revise_release,
    sync_aliases,
)
from tasks.workers.promote import PromoteReceipt, promote_bucket
from tasks.workers.release import Versions, restoring
from tasks.workers.run_context import stage_rows, with_constants

__all__ = [
    "ALIAS",
    "PromoteSummary",
    "current_release",
    "kept_releases",
    "promote_challengers",
    "restore_release",
    "sync_aliases",
]


@dataclass(frozen=True)
class PromoteSummary:
    """Figures of a promotion: promoted + held + unchanged = segments with a challenger.

    release : the one in force afterwards, None without one. gates : (gate, passed, decisive) -> number of verdicts.
    held_segments : some of the held segments with their reasons.
    """

    release: int | None
    promoted: int
    held: int
    unchanged: int
    gates: Mapping[tuple[str, bool, bool], int] = field(default_factory=dict)
    held_segments: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def promote_challengers(run: Run, *, only_look: bool = False) -> PromoteSummary:
    """Judge every challenger; commit the next release if any of them passes.

    The verdicts are stored in any case. If more than `gates.max_failed_share` of challengers fail, none is promoted.
    only_look : raise WorkPendingError instead of making a release, before anything is stored.
    """
    challenged = _buckets(run.table(CHALLENGERS).files())
    current = current_release(run)
    if not challenged:
        reason = "there are no challengers: no segment or level has enough rows, or nothing was trained"
        return PromoteSummary(current or None, 0, 0, 0, reason=reason)
    # Champions stay in force where a bucket has no challenger any more.
    in_force = run.table(CHAMPIONS).files(lambda partition: partition["release"] == str(current))
    now = datetime.now(UTC)
    work = partial(promote_bucket, run.context, current, current + 1, now)
    receipts = run.workers.map("promote", work, sorted(challenged | _buckets(in_force)))
    of_segments = _decisions([receipt for receipt in receipts if not receipt.is_level])
    reason = _stop(run, receipts, sum(of_segments.values()))
    makes_release = not reason and (_decisions(receipts)["promote"] or any(receipt.amended for receipt in receipts))
    if makes_release and only_look:
        raise WorkPendingError("promote")
    _keep_verdicts(run, receipts, reason, now)
    release = current
    if reason:
        of_segments["hold"] += of_segments.pop("promote", 0)
    elif makes_release:
        release = _commit(run, receipts, current)
    gates: Counter[tuple[str, bool, bool]] = Counter()
    for receipt in receipts:
        gates.update(receipt.gates)
    return PromoteSummary(
        release=release or None,
        promoted=of_segments["promote"],
        held=of_segments["hold"],
        unchanged=of_segments["unchanged"],
        gates=dict(gates),
        held_segments=tuple(pair for receipt in receipts for pair in receipt.held)[:50],
        reason=reason,
    )


def _buckets(files: Sequence[StagedFile]) -> set[int]:
    return {int(file.partition["bucket"]) for file in files}


def _decisions(receipts: Sequence[PromoteReceipt]) -> Counter[Decision]:
    decisions: Counter[Decision] = Counter()
    for receipt in receipts:
        decisions.update(receipt.decisions)
    return decisions


def _stop(run: Run, receipts: Sequence[PromoteReceipt], judged: int) -> str:
    """Return the reason to promote nothing at all; empty if there is none."""
    failed, limit = (
        sum(receipt.failed for receipt in receipts if not receipt.is_level),
        run.fleet.gates.max_failed_share,
    )
    if failed <= limit * judged:
        return ""
    return (
        f"{failed} of {judged} challengers failed a gate, more than gates.max_failed_share = {limit:g}; "
        "nothing was promoted"
    )


def _keep_verdicts(run: Run, receipts: Sequence[PromoteReceipt], stop: str, now: datetime) -> None:
    """Commit the verdicts; if nothing is promoted, add one for each challenger that passed its own gates."""
    table, staged = run.table(VERDICTS), [file for receipt in receipts for file in receipt.verdicts]
    if stop:
        champions = [file for receipt in receipts for file in receipt.champions]
        promoted = (ds.field("kind") == "promotion") & (ds.field("promoted_at") == now)
        stopped = run.table(CHAMPIONS).read_files(champions, ["segment"], promoted)
        constants = {"gate": "max_failed_share", "passed": False, "decisive": True, "reason": stop}
        figures = {"value": float("nan"), "limit": run.fleet.gates.max_failed_share}
        staged += stage_rows(table, with_constants(stopped, **constants, **figures), run_id=run.context.run_id)
    table.replace(staged, lambda file: file.partition["run_id"] == run.context.run_id)


def _commit(run: Run, receipts: Sequence[PromoteReceipt], current: int) -> int:
    """Commit the staged release and return the number of the release in force."""
    staged = [file for receipt in receipts for file in receipt.champions]
    if not staged:
        # The segments of all champions are gone without successors; nobody would see an empty release.
        return current
    commit_release(run, staged, current + 1)
    return current + 1


def restore_release(run: Run, to: int, registry: Registry | None = None) -> PromoteSummary:
    """Make a new release that holds exactly the champions of release `to`.

    registry : source of the present version number of each model, which changes if its registration was lost and
    repeated; without a registry, or if it does not answer, the old numbers stay. A pin is part of its release: segments
    pinned in release `to` are pinned again, and later pins end. The reason names those.
    """
    current, releases = current_release(run), kept_releases(run)
    if to not in releases:
        raise PromotionError(f"fleet {run.fleet.name}: release {to} is not kept; choose one of {releases}")
    rows = champion_rows(run, ["segment", "level", "kind", "model_name", "fingerprint", "bucket"])
    restored = [row for row in rows if row["release"] == to]
    now = datetime.now(UTC)
    versions = _known_versions(registry, restored) if registry else {}
    changes = {row["bucket"]: restoring(to, versions.get(row["bucket"], {}), now) for row in restored}
    release = revise_release(run, to, current, changes)
    pins = {row["segment"] for row in rows if row["release"] == current and row["kind"] == "pin"}
    ended = sorted(pins - {row["segment"] for row in restored if row["kind"] == "pin"})
    reason = f"restored release {to}" + (f"; no longer pinned: {', '.join(ended[:20])}" if ended else "")
    segments = sum(row["level"] == "segment" for row in restored)
    return PromoteSummary(release=release, promoted=segments, held=0, unchanged=0, reason=reason)


def _known_versions(registry: Registry, rows: Sequence[Mapping[str, Any]]) -> dict[int, Versions]:
    """Return the version of each registered model by bucket."""
    try:
        known = registry.versions([row["model_name"] for row in rows])
    except RegistryError:
        return {}  # A rollback must not wait for the registry; setting the aliases, the next step, reports the failure.
    versions_by_bucket: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in rows:
        name, fingerprint = row["model_name"], row["fingerprint"]
        if fingerprint in known.get(name, {}):
            versions_by_bucket[row["bucket"]][name, fingerprint] = known[name][fingerprint]
    return dict(versions_by_bucket)
