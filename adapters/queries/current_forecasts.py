"""Reads the current forecasts: of the release in force, those from each segment's newest origin."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from adapters.queries.fleet_status import FleetTables
from domain.data.current_forecasts import latest_forecasts
from domain.data.parts import bucket_part, is_bucket_part, part_bucket
from domain.data.tables import CHAMPIONS, PREDICTIONS

__all__ = ["current_forecasts", "release_in_force"]


def release_in_force(tables: FleetTables) -> int:
    """Number of the release in force; 0 before the first one."""
    return max((int(file.partition["release"]) for file in tables[CHAMPIONS].files()), default=0)


def current_forecasts(
    tables: FleetTables, release: int | None = None, segment: str | None = None
) -> Iterator[pa.Table]:
    """Current forecasts, a bucket at a time, sorted by segment and time; none of a regression fleet.

    release : default the one in force. segment : key of the only one that is wanted.
    """
    number = release_in_force(tables) if release is None else release
    wanted = pc.field("release") == number
    if segment is not None:
        wanted = wanted & (pc.field("segment") == segment)
    table = tables[PREDICTIONS]
    files = table.files(lambda partition: is_bucket_part(partition["part"]))
    for bucket in sorted({part_bucket(file.partition["part"]) for file in files}):
        of_bucket = [file for file in files if file.partition["part"] == bucket_part(bucket)]
        rows = latest_forecasts(table.read_files(of_bucket, rows=wanted))
        if rows.num_rows:
            yield rows
