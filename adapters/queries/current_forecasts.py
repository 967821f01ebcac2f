"""Read current forecasts: those of the release in force from the newest origin of each segment."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from adapters.queries.fleet_tables import FleetTables
from domain.data.current_forecasts import latest_forecasts
from domain.data.parts import bucket_part, is_bucket_part, part_bucket
from domain.data.tables import PREDICTIONS

__all__ = ["current_forecasts"]


def current_forecasts(
    tables: FleetTables, release: int | None = None, segment: str | None = None
) -> Iterator[pa.Table]:
    """Yield current forecasts by bucket, sorted by segment and time; nothing for a regression fleet.

    Parameters
    ----------
    release : default: the one in force.
    segment : key of the only segment to read; default: all.
    """
    number = tables.release_in_force() if release is None else release
    condition = pc.field("release") == number
    if segment is not None:
        condition = condition & (pc.field("segment") == segment)
    table = tables[PREDICTIONS]
    files = table.files(lambda partition: is_bucket_part(partition["part"]))
    for bucket in sorted({part_bucket(file.partition["part"]) for file in files}):
        bucket_files = [file for file in files if file.partition["part"] == bucket_part(bucket)]
        rows = latest_forecasts(table.read_files(bucket_files, rows=condition))
        if rows.num_rows:
            yield rows
