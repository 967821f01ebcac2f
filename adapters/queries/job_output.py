"""The predictions of one scoring job, as a file."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.table import Lake
from adapters.queries.export import Format, table_writer
from domain.config.fleet import Fleet
from domain.data.flatten import split_segments, to_csv_values
from domain.data.parts import input_part
from domain.data.tables import PREDICTIONS
from domain.errors import UnknownNameError
from domain.gateway.job_result import JobResult

__all__ = ["FORMATS", "write_output"]

FORMATS: tuple[Format, ...] = ("csv", "parquet")


def write_output(lake: Lake, fleet: Fleet, account: JobResult, form: Format, path: Path) -> int:
    """Write the predictions of a job to a local file; returns how many.

    Those of its inputs, whatever run made them; without inputs those that its run committed.
    Raises UnknownNameError if newer forecasts have taken the place of some since.
    """
    rows, schema = 0, None
    with table_writer(path, path.name, form, _shaped(PREDICTIONS.schema.empty_table(), fleet, form).schema) as writer:
        for part in _parts(lake, account):
            table = _shaped(part, fleet, form)
            schema = schema or table.schema
            writer.write_table(table.cast(schema))
            rows += table.num_rows
    expected = sum(one.predictions for one in account.inputs) if account.inputs else account.rows
    if account.task_type.periodic:
        expected = account.rows
    if rows < expected and (account.inputs or account.task_type.periodic):
        raise UnknownNameError(
            f"job {account.run_id}: of its {expected:,} predictions {rows:,} are left; newer ones have taken the place "
            "of the others since, or a backup was restored"
        )
    return rows


def _shaped(part: pa.Table, fleet: Fleet, form: Format) -> pa.Table:
    table = split_segments(part, fleet.segment_by)
    return to_csv_values(table) if form == "csv" else table


def _parts(lake: Lake, account: JobResult) -> Iterator[pa.Table]:
    table = lake.table(account.fleet, PREDICTIONS)
    by_input = account.inputs and not account.task_type.periodic
    parts = {input_part(one.input_id) for one in account.inputs}
    wanted = None if by_input else pc.field("job_id") == account.job_id
    for file in table.files(lambda partition: not by_input or partition["part"] in parts):
        found = table.read_files([file], rows=wanted)
        if found.num_rows:
            yield found
