"""Write one bucket of a release again under the next number, with its changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.data.model_record import Champion, ModelRecord
from domain.data.tables import CHAMPIONS
from models.promotion.releases import PinnedSegment
from tasks.workers.run_context import RunContext, of_release, read_models, stage_rows

__all__ = [
    "Change",
    "Revision",
    "Versions",
    "pinned_segments",
    "pinning",
    "renumbering",
    "restoring",
    "revise_bucket",
    "unpinning",
]

Champions = Mapping[str, Champion]
Change = Callable[[Champions], Champions]
Versions = Mapping[tuple[str, str], int]
"""Registered version by (model name, fingerprint)."""


@dataclass(frozen=True)
class Revision:
    """One bucket and its change."""

    bucket: int
    change: Change


def pinned_segments(champions: Table) -> list[PinnedSegment]:
    """Pinned segments of the release in force, sorted. champions : the fleet's table."""
    current = max((int(file.partition["release"]) for file in champions.files()), default=0)
    columns = ["segment", "model_name", "model_version", "candidate", "promoted_at", "bucket", "release"]
    of_release = champions.read([*columns, "kind"], lambda partition: partition["release"] == str(current))
    pins = of_release.filter(pc.equal(of_release["kind"], "pin")).select(columns).to_pylist()
    return sorted((PinnedSegment(*row.values()) for row in pins), key=lambda pin: pin.segment)


def revise_bucket(context: RunContext, source: int, target: int, revision: Revision) -> tuple[StagedFile, ...]:
    """Stage the changed bucket of release `source` as a part of release `target`."""
    table, bucket = context.table(CHAMPIONS), revision.bucket
    champions = revision.change(read_models(context, CHAMPIONS, of_release(source, bucket), Champion))
    rows = pa.Table.from_pylist([champion.to_row() for champion in champions.values()], table.spec.file_schema)
    return stage_rows(table, rows, release=target, bucket=bucket)


def pinning(model: ModelRecord, version: int, at: datetime) -> Change:
    """Pin one segment to this model."""
    return partial(_pinned, Champion.pinned(model, version, at))


def unpinning(segment: str, at: datetime) -> Change:
    """End one segment's pin; its model stays."""
    return partial(_unpinned, segment, at)


def restoring(release: int, versions: Versions, at: datetime) -> Change:
    """Restore all models of `release`, under their present versions in the registry."""
    return partial(_restored, release, versions, at)


def renumbering(versions: Versions) -> Change:
    """Keep the models, under their present versions in the registry."""
    return partial(_renumbered, versions)


def _pinned(pinned: Champion, champions: Champions) -> Champions:
    return {**champions, pinned.segment: pinned}


def _unpinned(segment: str, at: datetime, champions: Champions) -> Champions:
    return {**champions, segment: champions[segment].unpinned(at)}


def _restored(release: int, versions: Versions, at: datetime, champions: Champions) -> Champions:
    known = _renumbered(versions, champions)
    return {segment: champion.restored(release, at) for segment, champion in known.items()}


def _renumbered(versions: Versions, champions: Champions) -> Champions:
    return {
        segment: champion.renumbered(versions.get((champion.model_name, champion.fingerprint), champion.model_version))
        for segment, champion in champions.items()
    }
