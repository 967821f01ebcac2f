"""Write the predictions of one scoring job to a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.table import Lake
from adapters.queries.export import Format, table_writer
from domain.config.fleet import Fleet
from domain.data.flatten import split_keys, to_csv_values, written_zone
from domain.data.formula_cells import escape_formulas
from domain.data.parts import input_part
from domain.data.tables import PREDICTIONS
from domain.errors import UnknownNameError
from domain.gateway.job_result import JobResult

__all__ = ["FORMATS", "write_output"]

FORMATS: tuple[Format, ...] = ("csv", "parquet")


def write_output(
    lake: Lake,
    fleet: Fleet,
    result: JobResult,
    form: Format,
    path: Path,
    *,
    for_people: bool = False,
    before_part: Callable[[], None] = lambda: None,
) -> int:
    """Write the predictions of a job to a local file, and return their number.

    before_part : called before each part is written; it may raise to end the work, such as for a full disk.

    for_people : in CSV, mark text that a spreadsheet would read as a formula. Programs get every text as it is.

    A job with inputs covers all predictions of those inputs, whichever run made them; a job without inputs covers
    those that its run committed.

    Raises
    ------
    UnknownNameError
        Newer forecasts have replaced some of them since.
    """
    rows, schema = 0, None
    empty = PREDICTIONS.schema.empty_table()
    with table_writer(path, path.name, form, _shaped(empty, fleet, form, for_people).schema) as writer:
        for part in _parts(lake, result):
            before_part()
            table = _shaped(part, fleet, form, for_people)
            schema = schema or table.schema
            writer.write_table(table.cast(schema))
            rows += table.num_rows
    expected = sum(item.predictions for item in result.inputs) if result.inputs else result.rows
    if result.task_type.periodic:
        expected = result.rows
    if rows < expected and (result.inputs or result.task_type.periodic):
        raise UnknownNameError(
            f"job {result.run_id}: of its {expected:,} predictions {rows:,} are left; newer ones have replaced "
            "the others since, or a backup was restored"
        )
    return rows


def _shaped(part: pa.Table, fleet: Fleet, form: Format, for_people: bool) -> pa.Table:
    table = split_keys(part, fleet)
    if form == "csv":
        table = to_csv_values(table, written_zone(fleet))
        return escape_formulas(table) if for_people else table
    return table


def _parts(lake: Lake, result: JobResult) -> Iterator[pa.Table]:
    table = lake.table(result.fleet, PREDICTIONS)
    by_input = result.inputs and not result.task_type.periodic
    parts = {input_part(item.input_id) for item in result.inputs}
    condition = None if by_input else pc.field("job_id") == result.job_id
    for file in table.files(lambda partition: not by_input or partition["part"] in parts):
        rows = table.read_files([file], rows=condition)
        if rows.num_rows:
            yield rows
