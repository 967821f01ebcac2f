"""Find a segment or fallback group by the name that a user typed, and its rows in the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from adapters.lake.staged_file import StagedFile
from adapters.queries.fleet_tables import OBSERVATIONS, FleetTables
from domain.data.segment_search import find_segment, suggest_closest
from domain.data.segments import FALLBACK_BUCKET, GLOBAL_KEY, bucket_of, hash_segments
from domain.data.tables import CHALLENGERS, CHAMPIONS, OUTCOMES, PREDICTIONS, QUARANTINE, SEGMENTS, TableSpec
from domain.errors import UnknownNameError

__all__ = ["SegmentRows", "resolve_segment"]


@dataclass(frozen=True)
class SegmentRows:
    """Rows of one segment or fallback group. bucket : bucket that holds them in bucketed tables."""

    tables: FleetTables
    segment: str
    bucket: int

    @classmethod
    def of(cls, tables: FleetTables, segment: str) -> Self:
        """Locate a segment or fallback group by its canonical key."""
        buckets = int(tables[OBSERVATIONS].properties().get("myriad.buckets", 1))
        own = cls(tables, segment, int(bucket_of(hash_segments([segment]), buckets)[0]))
        fallback = cls(tables, segment, FALLBACK_BUCKET)
        if segment == GLOBAL_KEY:
            return fallback
        # With a single segment column, a fallback group may have the same key as a segment.
        is_fallback = any(fallback.read(spec, ["segment"]).num_rows for spec in (CHALLENGERS, CHAMPIONS))
        return fallback if is_fallback and not own.read(SEGMENTS, ["segment"]).num_rows else own

    @property
    def condition(self) -> ds.Expression:
        """Filter for rows of this segment."""
        return pc.field("segment") == self.segment

    def files(self, spec: TableSpec) -> list[StagedFile]:
        """Files of the bucket."""
        return self.tables[spec].files(lambda partition: partition["bucket"] == str(self.bucket))

    def read(self, spec: TableSpec, columns: Sequence[str] | None = None) -> pa.Table:
        """Read rows from a bucketed table."""
        return self.tables[spec].read(
            columns, lambda partition: partition["bucket"] == str(self.bucket), self.condition
        )


def resolve_segment(tables: FleetTables, name: Sequence[str], reference: str) -> str:
    """Return the canonical key of the segment or fallback group that a user named.

    Parameters
    ----------
    name : a key, or values, in one or several words.
    reference : what the user calls the fleet, for commands in messages.

    Raises
    ------
    UnknownNameError
        There is no such segment; the message lists the closest names.
    """
    keys = tables.segments()
    key = find_segment(name, keys)
    if key is None:
        other_keys = _other_keys(tables)
        key = find_segment(name, other_keys)
        keys = [*keys, *other_keys]
    if not keys:
        raise UnknownNameError(f"fleet {tables.fleet}: {tables.lake.uri} has no segments yet: myriad run {reference}")
    if key is None:
        text = " ".join(name)
        raise UnknownNameError(
            f"fleet {tables.fleet}: no segment {text!r}{suggest_closest(text, keys)}; "
            f"list them: myriad status {reference} --segments"
        )
    return key


def _other_keys(tables: FleetTables) -> list[str]:
    """Keys of fallback groups and of segments without observations: unseen, vanished, or entirely rejected."""
    keys: set[str] = set()
    for spec in (CHALLENGERS, CHAMPIONS, PREDICTIONS, QUARANTINE, OUTCOMES):
        keys.update(pc.unique(tables[spec].read(["segment"])["segment"]).to_pylist())
    return sorted(key for key in keys if key is not None)
