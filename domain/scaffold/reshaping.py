"""Messages for a table of another form than a fleet needs, with the pandas code that reshapes it."""

from collections.abc import Sequence

from domain.calendar.time_parsing import EXCEL
from domain.scaffold.columns import Column
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import SourceProfile
from domain.scaffold.timestamps import TimeColumn

__all__ = ["aggregate_rows", "convert_epoch", "join_dates", "melt_periods", "round_times"]

_MOST_NAMES = 4
_RESHAPE = "A fleet needs one row per segment and period; reshape the table with pandas"


def melt_periods(periods: Sequence[Column], columns: Sequence[Column], profile: SourceProfile) -> str:
    """Message for a table with one column per period."""
    message = (
        f"the table looks wide: {len(periods)} columns ({_names(periods)}) are periods, and each row is a segment. "
        f"{_RESHAPE}"
    )
    keys = ", ".join(f'"{column.name}"' for column in columns if column not in periods)
    melt = f'frame.melt(id_vars=[{keys}], var_name="period", value_name="value")'
    note = "the names of these columns become times and have to be dates such as 2024-01-31 or 2024-01"
    return _with_code(message, [melt], profile, note)


def join_dates(year: Column, month: Column, columns: Sequence[Column], profile: SourceProfile) -> str:
    """Message for a date that is spread over columns."""
    days = [
        column for column in columns if column.meaning == "date_part" and column is not month and column is not year
    ]
    day = next((column for column in days if column.is_number and column.distinct_numbers.max() > 12), None)
    parts = [year, month, *([day] if day is not None and day.distinct_numbers.max() <= 31 else [])]
    fields = ", ".join(
        f'{key}=frame["{part.name}"]' for key, part in zip(("year", "month", "day"), parts, strict=False)
    )
    first_day = "" if len(parts) == 3 else ", day=1"
    message = (
        f"columns {_names(parts)} are the parts of a date; a fleet needs a single column, so join them with pandas"
    )
    join = f"frame.assign(date=pd.to_datetime(dict({fields}{first_day})))"
    return _with_code(message, [join], profile, f"or, if a row is a whole year: --time {year.name}")


def convert_epoch(column: Column, profile: SourceProfile) -> str:
    """Message for times that are seconds or milliseconds since 1970."""
    unit = "s" if column.distinct_numbers.max() < 1e10 else "ms"
    message = (
        f"{column.name!r} looks like times in {unit} since 1970, which are not supported; convert them to dates with "
        "pandas"
    )
    name = f'"{column.name}"'
    step = f'frame[{name}] = pd.to_datetime(frame[{name}], unit="{unit}")'
    return _with_code(message, [step, "frame"], profile, "or, if they are not times: --task regression")


def aggregate_rows(
    times: TimeColumn, grouping: Grouping, target: Column, profile: SourceProfile, *, too_fine: bool
) -> str:
    """Message for several rows per segment and period.

    too_fine : the rows are series, but less than a minute apart.
    """
    if too_fine:
        period = "h"
        message = (
            "rows of a segment are less than a minute apart, the shortest period there is; sum them up with pandas"
        )
    else:
        period = "D"
        message = (
            f"no columns distinguish the rows that share a {times.name!r}: there are several rows per segment and "
            "period. A forecast needs one; name the columns with --segment-by, or sum the rows up with pandas"
        )
    floor = f'frame["{times.name}"] = {_parsed(times)}.dt.floor("{period}")'
    keys = ", ".join(f'"{name}"' for name in (*grouping.columns, times.name))
    total = f'frame.groupby([{keys}], as_index=False)["{target.name}"].sum()'
    alternative = "or predict each row from its other columns: --task regression"
    return _with_code(message, [floor, total], profile, alternative)


def round_times(times: TimeColumn, grouping: Grouping, frequency: str, target: Column, profile: SourceProfile) -> str:
    """Message for rows near full periods, a few seconds early or late."""
    message = (
        f"the rows of a segment are near every full period of {frequency!r}, but not on it, so that some periods have "
        "two rows and others none; round the times with pandas"
    )
    rounded = f'frame["{times.name}"] = {_parsed(times)}.dt.round("{frequency}")'
    keys = ", ".join(f'"{name}"' for name in (*grouping.columns, times.name))
    mean = f'frame.groupby([{keys}], as_index=False)["{target.name}"].mean()'
    return _with_code(message, [rounded, mean], profile, "or sum them up to longer periods")


def _parsed(times: TimeColumn) -> str:
    """Code that reads the times of the frame as the profile did."""
    column = f'frame["{times.name}"]'
    if times.format == EXCEL:
        return f'pd.to_datetime({column}, unit="D", origin="1899-12-30")'
    if times.format is None:
        return f"pd.to_datetime({column}{', utc=True' if times.offsets else ''})"
    return f"pd.to_datetime({column}, format={times.format!r})"


def _with_code(message: str, steps: Sequence[str], profile: SourceProfile, alternative: str) -> str:
    *earlier, last = steps
    lines = [*profile.pandas_code(), *earlier, f'{last}.to_csv("long.csv", index=False)']
    code = "\n".join(f"    {line}" for line in lines)
    return f"{message}:\n{code}\nthen: myriad new long.csv; {alternative}"


def _names(columns: Sequence[Column]) -> str:
    names = [repr(column.name) for column in columns[:_MOST_NAMES]]
    return ", ".join(names) + (", ..." if len(columns) > _MOST_NAMES else "")
