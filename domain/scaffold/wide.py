"""Wide tables: one column per period or per segment, and the setting that turns the columns into rows."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from domain.config.melt import Melt
from domain.scaffold.columns import Column, profile_columns
from domain.scaffold.roles import period_columns, wide_columns
from domain.scaffold.segments import MOST_REPEATED, series_grouping
from domain.scaffold.source_profile import UserOptions
from domain.scaffold.timestamps import find_time_columns

__all__ = ["melt_note", "melt_of", "total_rows"]

_TOTALS = frozenset(
    "total totals sum summe gesamt gesamtsumme insgesamt somme totale totaux suma summa totaal razem celkem".split()  # noqa: SIM905
)
_MOST_NAMES = 3


def melt_of(table: pa.Table, options: UserOptions) -> Melt | None:
    """Return how a wide table is melted; None for a table that has a row per segment and period already.

    Names of columns that the options give and the table lacks become the names of the new columns.
    """
    columns = profile_columns(table)
    names = [column.name for column in columns]
    named = {name for name in options.columns if name in names}
    periods = [column for column in period_columns(columns) if column.name not in named]
    if periods and _are_times(periods):
        return _melt(columns, periods, ("period", "date", "melted_period"), options)
    times = find_time_columns(columns)
    if not times or options.target in named or options.segment_by is not None:
        return None
    wide = wide_columns(columns, times[0])
    if not wide or series_grouping([], times[0]).repeated > MOST_REPEATED:
        return None
    return _melt(columns, wide, ("series", "segment", "melted_series"), options, keep=[times[0].name])


def _are_times(periods: Sequence[Column]) -> bool:
    """Return True if the names of the columns are times; names such as d_17 are not."""
    table = pa.table({"period": [column.name for column in periods]})
    return bool(find_time_columns(profile_columns(table)))


def _melt(
    columns: Sequence[Column],
    melted: Sequence[Column],
    names: Sequence[str],
    options: UserOptions,
    keep: Sequence[str] | None = None,
) -> Melt:
    """The setting for columns that become rows; keep : default all others that are no totals."""
    others = [column.name for column in columns if column not in melted]
    totals = [name for name in others if name.strip().lower() in _TOTALS]
    kept = [name for name in others if name not in totals] if keep is None else list(keep)
    present = [column.name for column in columns]
    values: tuple[str, ...] = ("value", "amount", "melted_value")
    if options.target is not None:
        values = (options.target, *values)
    return Melt(
        keep=kept,
        ignore=[name for name in others if name not in kept],
        name=next(name for name in names if name not in present),
        value=next(name for name in values if name not in present),
    )


def melt_note(melt: Melt, names: Sequence[str]) -> str:
    """Explain a melted table. names : columns of the files."""
    melted = melt.columns(list(names))
    shown = ", ".join(map(repr, melted[:_MOST_NAMES])) + (", ..." if len(melted) > _MOST_NAMES else "")
    ignored = f" {', '.join(map(repr, melt.ignore))} is left out." if melt.ignore else ""
    return (
        f"The table is wide: its {len(melted)} columns {shown} become rows by melt, with their names in {melt.name} "
        f"and their values in {melt.value}; columns that are added later do too. A blank cell is no row.{ignored}"
    )


def total_rows(table: pa.Table, melt: Melt) -> Iterator[str]:
    """Yield a remark for each column whose values include a total of the others."""
    for name in melt.keep:
        if name in table.column_names and pa.types.is_string(table.schema.field(name).type):
            values = table[name].unique().drop_null().to_pylist()
            if totals := [value for value in values if value.strip().lower() in _TOTALS]:
                yield (
                    f"column {name!r}: {totals[0]!r} seems to be the total of the others, and would be a segment of "
                    "its own; remove its rows from the files"
                )
