"""What to do with a table that has another form than a fleet needs: in words, and as a few lines of Python."""

from collections.abc import Sequence

from domain.scaffold.columns import Column
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import SourceProfile
from domain.scaffold.timestamps import TimeColumn

__all__ = ["aggregate_rows", "convert_epoch", "join_dates", "melt_columns", "melt_periods"]

_SHOWN = 4
_TURN = "A fleet needs one row a segment and period; turn it with pandas"


def melt_columns(wide: Sequence[Column], times: TimeColumn, profile: SourceProfile) -> str:
    """A column a segment."""
    time = times.column.name
    told = (
        f"the table looks wide: each of {len(wide)} columns ({_shown(wide)}) has one segment's values by {time!r}. "
        f"{_TURN}"
    )
    melt = f'frame.melt(id_vars=["{time}"], var_name="series", value_name="value")'
    ways_out = f"or, if one of these columns is the target and the others belong to it: --target {wide[-1].name}"
    return _snippet(told, [melt], profile, ways_out)


def melt_periods(periods: Sequence[Column], columns: Sequence[Column], profile: SourceProfile) -> str:
    """A column a period."""
    keys = [column.name for column in columns if column not in periods]
    told = (
        f"the table looks wide: {len(periods)} columns ({_shown(periods)}) are periods, and each row is a segment. "
        f"{_TURN}"
    )
    names = ", ".join(f'"{name}"' for name in keys)
    melt = f'frame.melt(id_vars=[{names}], var_name="period", value_name="value")'
    return _snippet(
        told,
        [melt],
        profile,
        "the names of these columns become times, and have to be dates such as 2024-01-31 or 2024-01",
    )


def join_dates(year: Column, month: Column, columns: Sequence[Column], profile: SourceProfile) -> str:
    """Columns that are parts of one date."""
    days = [
        column for column in columns if column.meaning == "date_part" and column is not month and column is not year
    ]
    day = next((column for column in days if column.is_number and column.distinct_numbers.max() > 12), None)
    parts = [year, month, *([day] if day is not None and day.distinct_numbers.max() <= 31 else [])]
    named = ", ".join(f'{key}=frame["{part.name}"]' for key, part in zip(("year", "month", "day"), parts, strict=False))
    last = "" if len(parts) == 3 else ", day=1"
    told = f"columns {_shown(parts)} are parts of one date, and a fleet needs it in one column; join them with pandas"
    join = f"frame.assign(date=pd.to_datetime(dict({named}{last})))"
    return _snippet(told, [join], profile, f"or, if a row is a whole year: --time {year.name}")


def convert_epoch(column: Column, profile: SourceProfile) -> str:
    """Times as numbers of seconds."""
    unit = "s" if column.distinct_numbers.max() < 1e10 else "ms"
    told = f"{column.name!r} looks like times in {unit} since 1970, which are not read; write them as dates with pandas"
    name = f'"{column.name}"'
    step = f'frame[{name}] = pd.to_datetime(frame[{name}], unit="{unit}")'
    return _snippet(told, [step, "frame"], profile, "or, if they are no times: --task regression")


def aggregate_rows(times: TimeColumn, grouping: Grouping, target: Column, profile: SourceProfile, *, fine: bool) -> str:
    """Several rows a period. fine : the rows are series, but closer than an hour."""
    time = times.column.name
    keys = [*grouping.columns, time]
    if fine:
        told = "rows of a segment are closer than an hour, the shortest period there is; sum them up with pandas"
        floor = f'frame["{time}"] = pd.to_datetime(frame["{time}"]).dt.floor("h")'
    else:
        told = (
            f"no columns tell the rows of one {time!r} apart: there are several rows a segment and period. A forecast "
            "needs one; name the columns with --segment-by, or sum the rows up with pandas"
        )
        floor = f'frame["{time}"] = pd.to_datetime(frame["{time}"]).dt.floor("D")'
    names = ", ".join(f'"{name}"' for name in keys)
    total = f'frame.groupby([{names}], as_index=False)["{target.name}"].sum()'
    return _snippet(told, [floor, total], profile, "or predict each row from its other columns: --task regression")


def _snippet(told: str, steps: Sequence[str], profile: SourceProfile, then: str) -> str:
    *before, last = steps
    lines = ["import pandas as pd", profile.reading(), *before, f'{last}.to_csv("long.csv", index=False)']
    code = "\n".join(f"    {line}" for line in lines)
    return f"{told}:\n{code}\nthen: myriad new long.csv; {then}"


def _shown(columns: Sequence[Column]) -> str:
    names = [repr(column.name) for column in columns[:_SHOWN]]
    return ", ".join(names) + (", ..." if len(columns) > _SHOWN else "")
