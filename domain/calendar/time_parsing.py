"""Times of a raw column: text, numbers or typed values as instants in UTC, or as dates."""

import re
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import BoolArray
from domain.config.time_section import Time

__all__ = ["EXCEL", "OFFSET", "parse_times"]

EXCEL = "excel"
"""Format of day numbers as spreadsheets count them."""
_EXCEL_EPOCH = np.datetime64("1899-12-30", "us")
_DAY = np.timedelta64(86_400_000_000, "us")
OFFSET = re.compile(
    r"(?:(?<=[T ]\d{2})|(?<=[T ]\d(?=:)))(?P<clock>[\d:.,]*)\s*(?P<offset>[Zz]|UTC|GMT|[+-]\d{1,2}(:?\d{2})?)$"
)
"""The end of an ISO text that names its offset from UTC: all that pandas would move the time by."""
_MIDNIGHT = re.compile(r"(?<=[T ])24(?=:?00(:?00([.,]0+)?)?\s*([Zz]|UTC|GMT|[+-]\d{1,2}(:?\d{2})?)?$)")
_QUARTER = re.compile(r"^(\d{4})[-_/ ]?Q([1-4])$|^Q([1-4])[-_/ ]?(\d{4})$", re.IGNORECASE)
_WEEK = re.compile(r"^(\d{4})[-_/ ]?[Ww](\d{1,2})$")
_WEEK_FORMAT, _DAY_FORMAT = re.compile(r"%G.*%V|%V.*%G"), re.compile("%[uwaA]")
_ISO = "ISO8601"
_RELATIVE = {"now", "today"}  # pandas would read the clock
# Python's own limits with room for offsets and horizons; 9999-12-31 means "never" and would open a gap of millennia.
_FIRST_DAY, _LAST_DAY = np.datetime64("0001-01-02", "D"), np.datetime64("8999-12-31", "D")


def parse_times(values: pa.ChunkedArray, time: Time) -> tuple[pa.Array, BoolArray]:
    """Parse the times of a raw column.

    Times without an offset are in the fleet's zone. Hours that a daylight-saving change skips or repeats are not times,
    nor is anything outside the years 1 to 8999. Without a zone in the fleet file, the date of a time is the one that
    the file writes: that of its text, or of the zone of its type. 24:00 is the midnight at the end of a day.

    Parameters
    ----------
    values : text, numbers (read as text: 2024, 20240131, 202405; or days as spreadsheets count them), dates or
        timestamps, shape (n,). Text is ISO 8601, a quarter such as 2024-Q3 or an ISO week such as 2024-W5, unless the
        fleet specifies a format.

    Returns
    -------
    Times of type timestamp[us, UTC], null where there is none, and a mask of the values that are present but are not
    times; both of shape (n,).
    """
    flat = values.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_nested(flat.type) or pa.types.is_null(flat.type):
        present = np.asarray(pc.is_valid(flat).to_numpy(zero_copy_only=False), dtype=bool)
        return pa.nulls(len(flat), pa.timestamp("us", tz="UTC")), present
    encoded = flat.dictionary_encode()
    instants = _instants(encoded.dictionary, time)
    table = pa.array(instants.tz_convert(None).as_unit("us").to_numpy()).cast(pa.timestamp("us", tz="UTC"))
    times = table.take(encoded.indices)
    missing = np.asarray(pc.is_null(times).to_numpy(zero_copy_only=False), dtype=bool)
    present = np.asarray(pc.is_valid(encoded.indices).to_numpy(zero_copy_only=False), dtype=bool)
    return times, missing & present


def _instants(distinct: pa.Array, time: Time) -> pd.DatetimeIndex:
    """The times of distinct values; NaT where a value is none."""
    kind = distinct.type
    if time.format == EXCEL and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return _parse_day_numbers(distinct, time)
    if pa.types.is_floating(kind):
        # A column of whole numbers with a gap is often stored as floats.
        numbers = distinct.to_pylist()
        distinct = pa.array([f"{x:.0f}" if x is not None and x.is_integer() else "" for x in numbers], pa.string())
    elif pa.types.is_integer(kind) or pa.types.is_string_view(kind):
        distinct = distinct.cast(pa.string())
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        return _parse_text([text.strip() for text in distinct.to_pylist()], time)
    if pa.types.is_timestamp(distinct.type) or pa.types.is_date(distinct.type):
        # In the column's own unit: another unit may be unable to hold the value.
        kind = {pa.date32(): pa.timestamp("s"), pa.date64(): pa.timestamp("ms")}.get(distinct.type, distinct.type)
        return _normalise(pd.DatetimeIndex(distinct.cast(kind).to_pandas()), time)
    return pd.DatetimeIndex([pd.NaT] * len(distinct), tz="UTC")


def _parse_day_numbers(distinct: pa.Array, time: Time) -> pd.DatetimeIndex:
    """Days since 1899-12-30 with a fraction for the time of day, to the second."""
    numbers = pd.to_numeric(pd.Series(distinct.to_pylist(), dtype="object"), errors="coerce").to_numpy(np.float64)
    inside = (numbers >= 1) & (numbers < 2_500_000)
    seconds = np.round(np.where(inside, numbers, 0.0) * 86_400).astype("timedelta64[s]")
    index = pd.DatetimeIndex(np.where(inside, _EXCEL_EPOCH + seconds, np.datetime64("NaT", "us")))
    return _normalise(index, time)


def _parse_text(texts: list[str], time: Time) -> pd.DatetimeIndex:
    texts = ["" if text.lower() in _RELATIVE else text for text in texts]
    ends_day = np.array([bool(_MIDNIGHT.search(text)) for text in texts], dtype=bool)
    texts = [_MIDNIGHT.sub("00", text) if end else text for text, end in zip(texts, ends_day, strict=True)]
    texts, aware, form = _prepared(texts, time)
    if time.zone == "auto" and not time.rule.is_clock and form == _ISO:
        # The date is the one that is written, whatever the offset.
        texts, aware = [OFFSET.sub(r"\g<clock>", text) for text in texts], np.zeros(len(texts), dtype=bool)
    naive_part = pd.to_datetime(pd.Series(texts).where(~aware), format=form, errors="coerce", utc=True)
    aware_part = pd.to_datetime(pd.Series(texts).where(aware), format=form, errors="coerce", utc=True)
    days = np.where(ends_day, _DAY, np.timedelta64(0, "us"))
    naive = _normalise(pd.DatetimeIndex(naive_part).tz_localize(None) + days, time)
    zoned = _normalise(pd.DatetimeIndex(aware_part) + days, time)
    return pd.DatetimeIndex(np.where(aware, zoned.tz_localize(None), naive.tz_localize(None)), tz="UTC")


def _prepared(texts: list[str], time: Time) -> tuple[list[str], BoolArray, str]:
    """Texts as pandas reads them, a mask of those that name an offset, and their format."""
    form = time.format
    if form is None:
        texts = [_first_day(text) for text in texts]
        matches = [OFFSET.search(text) for text in texts]
        named = {"z", "UTC", "GMT"}
        texts = [
            OFFSET.sub(r"\g<clock>Z", text) if match and match["offset"] in named else text
            for text, match in zip(texts, matches, strict=True)
        ]
        return texts, np.array([match is not None for match in matches], dtype=bool), _ISO
    if _WEEK_FORMAT.search(form) and not _DAY_FORMAT.search(form):
        # strptime reads a week only with one of its days.
        texts, form = [f"{text} 1" for text in texts], f"{form} %u"
    return texts, np.full(len(texts), "%z" in form.lower().replace("%%", "")), form


def _first_day(text: str) -> str:
    """First day of a quarter (`2024-Q3`, `Q3 2024`) or of an ISO week (`2024-W5`); other text unchanged."""
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
    """Instants in UTC, or midnight UTC of the date for periods of a day or longer."""
    day = index.asi8.view(f"datetime64[{index.unit}]").astype("datetime64[D]")
    index = pd.DatetimeIndex(index.where((day >= _FIRST_DAY) & (day <= _LAST_DAY))).as_unit("us")
    if time.rule.is_clock:
        if index.tz is None:
            index = index.tz_localize(time.zone_name, ambiguous="NaT", nonexistent="NaT")
        return index.tz_convert("UTC")
    if index.tz is not None:
        index = index.tz_localize(None) if time.zone == "auto" else index.tz_convert(time.zone).tz_localize(None)
    return index.normalize().tz_localize("UTC")
