"""Promote and roll back: one commit makes a release for the whole fleet, then the registry's aliases follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pyarrow.dataset as ds
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile
from adapters.registry import Registry
from models.errors import PromotionError
from models.gates import Decision
from models.tables import CHALLENGERS, CHAMPIONS, VERDICTS
from tasks.context import Run
from tasks.work.job import with_constants
from tasks.work.promote import PromoteReceipt, promote_bucket

__all__ = [
    "ALIAS",
    "PromoteSummary",
    "current_release",
    "kept_releases",
    "promote_challengers",
    "restore_release",
    "sync_aliases",
]

ALIAS = "champion"


@dataclass(frozen=True)
class PromoteSummary:
    """promoted + held + unchanged = segments with a challenger. release : in force afterwards, None for none.

    gates : (gate, passed, decisive) -> verdicts. held_segments : some of the held, with the reason.
    """

    release: int | None
    promoted: int
    held: int
    unchanged: int
    gates: Mapping[tuple[str, bool, bool], int] = field(default_factory=dict)
    held_segments: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def kept_releases(run: Run) -> list[int]:
    """Numbers of the releases that can be scored with and restored, oldest first."""
    return sorted({int(file.partition["release"]) for file in run.table(CHAMPIONS).files()})


def current_release(run: Run) -> int:
    """Number of the release in force; 0 before the first one."""
    return max(kept_releases(run), default=0)


@task(name="promote challengers", cache_policy=NO_CACHE)
def promote_challengers(run: Run) -> PromoteSummary:
    """Judge every challenger; commit the next release if any of them passes.

    The verdicts are kept in any case. More than `gates.max_failed_share` of failures promotes nothing.
    """
    buckets = sorted({int(file.partition["bucket"]) for file in run.table(CHALLENGERS).files()})
    current = current_release(run)
    if not buckets:
        reason = "there are no challengers: no segment or level has enough rows, or nothing was trained"
        return PromoteSummary(current or None, 0, 0, 0, reason=reason)
    work = partial(promote_bucket, run.job, current, current + 1, datetime.now(UTC))
    receipts = run.workers.map("promote", work, buckets)
    staged = [file for receipt in receipts for file in receipt.verdicts]
    run.table(VERDICTS).replace(staged, lambda file: file.partition["run_id"] == run.job.run_id)
    of_segments = _decisions([receipt for receipt in receipts if not receipt.is_level])
    everywhere = _decisions(receipts)
    judged = sum(of_segments.values())
    reason = ""
    release = current
    if of_segments["hold"] > run.fleet.gates.max_failed_share * judged:
        reason = (
            f"{of_segments['hold']} of {judged} challengers failed a gate, more than gates.max_failed_share = "
            f"{run.fleet.gates.max_failed_share:g}; nothing was promoted"
        )
        of_segments["hold"] += of_segments.pop("promote", 0)
    elif everywhere["promote"] or any(receipt.amended for receipt in receipts):
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


def _decisions(receipts: Sequence[PromoteReceipt]) -> Counter[Decision]:
    decisions: Counter[Decision] = Counter()
    for receipt in receipts:
        decisions.update(receipt.decisions)
    return decisions


def _commit(run: Run, receipts: Sequence[PromoteReceipt], current: int) -> int:
    """Commit the staged release unless another promotion came first; drops releases beyond those to keep."""
    release = current + 1
    staged = [file for receipt in receipts for file in receipt.champions]
    _commit_release(run, staged, release)
    return release


def _commit_release(run: Run, staged: Sequence[StagedFile], release: int) -> None:
    oldest = release - run.fleet.gates.keep_releases + 1

    def expired(file: StagedFile) -> bool:
        return int(file.partition["release"]) < oldest

    def taken(files: Sequence[StagedFile]) -> bool:
        return any(int(file.partition["release"]) >= release for file in files)

    note = {"run_id": run.job.run_id, "release": str(release)}
    if not run.table(CHAMPIONS).replace(staged, expired, skip_if=taken, note=note):
        raise PromotionError(
            f"fleet {run.fleet.name}: release {release} was made by another promotion meanwhile; run this one again"
        )


@task(name="restore release", cache_policy=NO_CACHE)
def restore_release(run: Run, to: int) -> PromoteSummary:
    """Make a new release that holds exactly the champions of release `to`."""
    table, current = run.table(CHAMPIONS), current_release(run)
    kept = kept_releases(run)
    if to not in kept:
        raise PromotionError(f"fleet {run.fleet.name}: release {to} is not kept; choose one of {kept}")
    staged, segments = [], 0
    constants = {"kind": "rollback", "source": f"release {to}", "promoted_at": datetime.now(UTC)}
    for file in table.files(lambda partition: partition["release"] == str(to)):
        rows = table.read_files([file]).drop_columns([*table.spec.partition_by, *constants])
        bucket = file.partition["bucket"]
        staged.append(table.stage(with_constants(rows, **constants), release=current + 1, bucket=bucket))
        segments += rows.filter(ds.field("level") == "segment").num_rows
    _commit_release(run, staged, current + 1)
    return PromoteSummary(release=current + 1, promoted=segments, held=0, unchanged=0, reason=f"restored release {to}")


@task(name="sync aliases", cache_policy=NO_CACHE)
def sync_aliases(run: Run, registry: Registry) -> int:
    """Point the registry's `champion` aliases at the release in force; returns how many had to change.

    A model that an earlier release had and this one has not loses its alias.
    """
    current = str(current_release(run))
    columns = ["model_name", "model_version", "release"]
    rows = run.table(CHAMPIONS).read(columns).to_pylist()
    versions = {row["model_name"]: row["model_version"] for row in rows if str(row["release"]) == current}
    gone = sorted({row["model_name"] for row in rows} - set(versions))
    changed = registry.set_alias(ALIAS, versions) if versions else 0
    return changed + (registry.delete_alias(ALIAS, gone) if gone else 0)
