"""Releases of a fleet: list them, commit the next one, and let the registry's aliases follow."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from adapters.lake.lease import check_lease
from adapters.lake.staged_file import StagedFile
from adapters.registry import Registry
from domain.data.tables import CHAMPIONS
from domain.errors import PromotionError, RegistryError
from tasks.context import Run
from tasks.workers.release import Change, Revision, renumbering, revise_bucket

__all__ = [
    "ALIAS",
    "champion_rows",
    "commit_release",
    "current_release",
    "kept_releases",
    "of_current",
    "revise_release",
    "sync_aliases",
]

ALIAS = "champion"


def kept_releases(run: Run) -> list[int]:
    """Return the numbers of the releases that can score or be restored, oldest first."""
    return sorted({int(file.partition["release"]) for file in run.table(CHAMPIONS).files()})


def current_release(run: Run) -> int:
    """Return the number of the release in force; 0 before the first one."""
    return max(kept_releases(run), default=0)


def champion_rows(run: Run, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return these columns, and `release`, of all champions in all kept releases."""
    rows: list[dict[str, Any]] = run.table(CHAMPIONS).read([*columns, "release"]).to_pylist()
    return rows


def of_current(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of the newest release among them."""
    newest = max((row["release"] for row in rows), default=0)
    return [row for row in rows if row["release"] == newest]


def commit_release(run: Run, staged: Sequence[StagedFile], release: int) -> None:
    """Commit a staged release unless another promotion came first; drop the releases that are too old to keep."""
    oldest = release - run.fleet.gates.keep_releases + 1

    def expired(file: StagedFile) -> bool:
        return int(file.partition["release"]) < oldest

    def taken(files: Sequence[StagedFile]) -> bool:
        return any(int(file.partition["release"]) >= release for file in files)

    check_lease(run.context.lake, run.fleet.name)
    note = {"run_id": run.context.run_id, "release": str(release)}
    if not run.table(CHAMPIONS).replace(staged, expired, skip_if=taken, note=note):
        raise PromotionError(
            f"fleet {run.fleet.name}: release {release} was made by another promotion meanwhile; run this one again"
        )


def revise_release(run: Run, source: int, current: int, changes: Mapping[int, Change]) -> int:
    """Commit the next release, release `source` with some buckets changed, and return its number.

    current : the release in force at the time of the decision. changes : by bucket; the others stay as they are.
    """
    files = run.table(CHAMPIONS).files(lambda partition: partition["release"] == str(source))
    buckets = sorted({int(file.partition["bucket"]) for file in files} | set(changes))
    revisions = [Revision(bucket, changes.get(bucket, renumbering({}))) for bucket in buckets]
    work = partial(revise_bucket, run.context, source, current + 1)
    staged = [file for files in run.workers.map("release", work, revisions) for file in files]
    commit_release(run, staged, current + 1)
    return current + 1


def sync_aliases(run: Run, registry: Registry) -> int:
    """Point the registry's `champion` aliases at the release in force; return the number of changed aliases.

    A model of an earlier release that this one does not have loses its alias. Raises RegistryError, before any alias
    changes, if the registry has lost a model of the release, which stays in force.
    """
    rows = champion_rows(run, ["model_name", "model_version", "fingerprint"])
    current = of_current(rows)
    if not current:
        return 0
    versions = {row["model_name"]: row["model_version"] for row in current}
    _check_versions(run, registry, current)
    gone = sorted({row["model_name"] for row in rows} - set(versions))
    return registry.set_alias(ALIAS, versions) + (registry.delete_alias(ALIAS, gone) if gone else 0)


def _check_versions(run: Run, registry: Registry, current: Sequence[Mapping[str, Any]]) -> None:
    """Compare versions by fingerprint: after a loss of the registry, another model may have a champion's number."""
    known = registry.versions([row["model_name"] for row in current])
    lost = sorted(
        f"{row['model_name']} {row['model_version']}"
        for row in current
        if known.get(row["model_name"], {}).get(row["fingerprint"]) != row["model_version"]
    )
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise RegistryError(
            f"fleet {run.fleet.name}: release {current[0]['release']} is in force, but the registry has lost "
            f"{', '.join(lost[:3])}{more}; `myriad registry sync {run.fleet.name}` registers them again and sets the "
            "aliases"
        )
