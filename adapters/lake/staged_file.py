"""A Parquet file of a table: its receipt, and its name."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["StagedFile", "new_path"]


@dataclass(frozen=True)
class StagedFile:
    """A Parquet file below the root of a table, staged or committed.

    table : name of the table that it was staged for.
    committed_ms : commit time in milliseconds since the epoch; 0 before the commit. A staged file that replaces
    committed ones has theirs, and keeps it.
    """

    path: str
    size: int
    rows: int
    partition: Mapping[str, str]
    stats: str = "{}"
    table: str = ""
    committed_ms: int = field(default=0, compare=False)


def new_path() -> str:
    """Return a path that is unique per attempt, relative to the root of a table."""
    return f"data/{uuid.uuid4().hex}.parquet"
