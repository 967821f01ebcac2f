"""Times and periods: parsing, period ordinals, and the times of future periods.

A period ordinal counts whole periods since 1970, so that consecutive periods differ by 1 and the seasonal phase of a
period is `ordinal % season`. Frequencies of a day or longer use dates (midnight UTC, taken in the fleet's zone);
hours are UTC instants.
"""

import re
from datetime import date
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import BoolArray, IntArray
from domain.config.fleet import Frequency, Time

__all__ = ["future_times", "ordinals", "parse_times"]

Times = npt.NDArray[np.datetime64]
_DAY_US = 86_400_000_000
_OFFSET = re.compile(r"[T ].*(Z|[+-]\d{2}:?\d{2})$")
_QUARTER = re.compile(r"^(\d{4})[-_/ ]?Q([1-4])$|^Q([1-4])[-_/ ]?(\d{4})$", re.IGNORECASE)
_WEEK = re.compile(r"^(\d{4})-?W(\d{2})$")
_RELATIVE = {"now", "today"}  # pandas would read the clock
# Python's own limits with room for offsets and horizons; 9999-12-31 means "never" and would open a gap of millennia.
_FIRST_DAY, _LAST_DAY = np.datetime64("0001-01-02", "D"), np.datetime64("8999-12-31", "D")
_MONTHS: dict[str, int] = {"M": 1, "Q": 3, "Y": 12}


def parse_times(values: pa.ChunkedArray, time: Time) -> tuple[pa.Array, BoolArray]:
    """Parse the times of a raw column.

    Times without an offset are in the fleet's zone. Hours that a daylight-saving change skips or repeats are not times,
    nor is anything outside the years 1 to 8999.

    Parameters
    ----------
    values : text, whole numbers (read as text: 2024, 20240131), dates or timestamps, shape (n,). Text is ISO 8601,
        a quarter such as 2024-Q3 or an ISO week such as 2024-W05, unless the fleet specifies a format.

    Returns
    -------
    Times of type timestamp[us, UTC], null where there is none, and a mask of the values that are present but are not
    times; both of shape (n,).
    """
    flat = values.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_nested(flat.type):
        present = np.asarray(pc.is_valid(flat).to_numpy(zero_copy_only=False), dtype=bool)
        return pa.nulls(len(flat), pa.timestamp("us", tz="UTC")), present
    encoded = flat.dictionary_encode()
    distinct = encoded.dictionary
    if pa.types.is_integer(distinct.type) or pa.types.is_string_view(distinct.type):
        distinct = distinct.cast(pa.string())
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        instants = _parse_text([text.strip() for text in distinct.to_pylist()], time)
    elif pa.types.is_timestamp(distinct.type) or pa.types.is_date(distinct.type):
        # In the column's own unit: another unit may be unable to hold the value.
        kind = {pa.date32(): pa.timestamp("s"), pa.date64(): pa.timestamp("ms")}.get(distinct.type, distinct.type)
        instants = _normalise(pd.DatetimeIndex(distinct.cast(kind).to_pandas()), time)
    else:
        instants = pd.DatetimeIndex([pd.NaT] * len(distinct), tz="UTC")
    table = pa.array(instants.tz_convert(None).as_unit("us").to_numpy()).cast(pa.timestamp("us", tz="UTC"))
    times = table.take(encoded.indices)
    missing = np.asarray(pc.is_null(times).to_numpy(zero_copy_only=False), dtype=bool)
    present = np.asarray(pc.is_valid(encoded.indices).to_numpy(zero_copy_only=False), dtype=bool)
    return times, missing & present


def _parse_text(texts: list[str], time: Time) -> pd.DatetimeIndex:
    texts = ["" if text.lower() in _RELATIVE else text for text in texts]
    texts = texts if time.format else [_first_day(text) for text in texts]
    aware = np.array([bool(_OFFSET.search(text)) for text in texts], dtype=bool)
    form = time.format or "ISO8601"
    naive_part = pd.to_datetime(pd.Series(texts).where(~aware), format=form, errors="coerce", utc=True)
    aware_part = pd.to_datetime(pd.Series(texts).where(aware), format=form, errors="coerce", utc=True)
    naive = _normalise(pd.DatetimeIndex(naive_part).tz_localize(None), time)
    zoned = _normalise(pd.DatetimeIndex(aware_part), time)
    return pd.DatetimeIndex(np.where(aware, zoned.tz_localize(None), naive.tz_localize(None)), tz="UTC")


def _first_day(text: str) -> str:
    """First day of a quarter (`2024-Q3`, `Q3 2024`) or of an ISO week (`2024-W05`); other text unchanged."""
    if quarter := _QUARTER.match(text):
        year, number = (quarter[1], quarter[2]) if quarter[1] else (quarter[4], quarter[3])
        return f"{year}-{3 * int(number) - 2:02d}-01"
    if week := _WEEK.match(text):
        try:
            return date.fromisocalendar(int(week[1]), int(week[2]), 1).isoformat()
        except ValueError:
            return ""
    return text


def _normalise(index: pd.DatetimeIndex, time: Time) -> pd.DatetimeIndex:
    day = index.asi8.view(f"datetime64[{index.unit}]").astype("datetime64[D]")
    index = pd.DatetimeIndex(index.where((day >= _FIRST_DAY) & (day <= _LAST_DAY))).as_unit("us")
    if time.frequency == "h":
        if index.tz is None:
            index = index.tz_localize(time.zone, ambiguous="NaT", nonexistent="NaT")
        return index.tz_convert("UTC")
    if index.tz is not None:
        index = index.tz_convert(time.zone).tz_localize(None)
    return index.normalize().tz_localize("UTC")


def ordinals(times: Times, frequency: Frequency) -> IntArray:
    """Return the period ordinal of every time, shape (n,). Weeks start on Monday."""
    if frequency in _MONTHS:
        months = times.astype("datetime64[M]").astype(np.int64)
        return months // _MONTHS[frequency]
    micros = times.astype("datetime64[us]").astype(np.int64)
    if frequency == "h":
        return micros // 3_600_000_000
    days = micros // _DAY_US
    return days if frequency == "D" else (days + 3) // 7


def future_times(origins: Times, steps: int, frequency: Frequency) -> Times:
    """Return the times of the next `steps` periods after each origin, shape (n_origins, steps).

    Months, quarters and years keep the day of the month, or the end of the month if the origin is one.
    """
    ahead = np.arange(1, steps + 1)
    if frequency not in _MONTHS:
        unit: Literal["h", "D", "W"] = frequency  # type: ignore[assignment]
        times: Times = origins.astype("datetime64[us]")[:, None] + (ahead.astype(f"timedelta64[{unit}]"))[None, :]
        return times
    months = origins.astype("datetime64[M]")
    day = origins.astype("datetime64[D]") - months.astype("datetime64[D]")
    at_end = (origins.astype("datetime64[D]") + 1).astype("datetime64[M]") > months
    target = months[:, None] + (ahead * _MONTHS[frequency])[None, :]
    last = (target + 1).astype("datetime64[D]") - target.astype("datetime64[D]") - np.timedelta64(1, "D")
    offset = np.where(at_end[:, None], last, np.minimum(day[:, None], last))
    result: Times = (target.astype("datetime64[D]") + offset).astype("datetime64[us]")
    return result
