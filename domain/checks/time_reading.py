"""Doubts about how the times of a source are read: day and month, zone, and a frequency that changes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import FloatArray
from domain.calendar.time_parsing import OFFSET, parse_times
from domain.checks.findings import Problem
from domain.checks.segments import SegmentRows
from domain.config.fleet import Fleet
from domain.config.time_section import Time
from domain.scaffold.timestamps import regularity

__all__ = ["frequency_changes", "reading_problems"]

_SAMPLED = 5_000
_DECISIVE = 1.5
_PARTS, _LEAST_ROWS, _CHANGE = 4, 20, 1.8
_ALIKE = 0.75
_ZERO = {"Z", "z", "UTC", "GMT", "+00:00", "+0000", "+00", "-00:00"}


def reading_problems(chunks: Sequence[pa.Table], fleet: Fleet) -> Iterator[Problem]:
    """Doubts about the reading of the raw time column. chunks : rows of the source as the file has them."""
    time = fleet.time
    if time is None or not chunks or time.column not in chunks[0].column_names:
        return
    values = _sample(chunks[0][time.column])
    yield from _day_and_month(values, time)
    if time.zone == "auto":
        yield from _zone(values, time)


def _sample(values: pa.ChunkedArray) -> pa.Array:
    """Some distinct values, spread over all of them."""
    flat = values.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_nested(flat.type) or pa.types.is_null(flat.type):
        return pa.nulls(0, pa.string())
    distinct = pc.unique(flat).drop_null()
    step = max(1, len(distinct) // _SAMPLED)
    return distinct.take(pa.array(np.arange(0, len(distinct), step)))


def _day_and_month(values: pa.Array, time: Time) -> Iterator[Problem]:
    """Warn of a format whose day and month, if swapped, leave far fewer gaps."""
    form = time.format or ""
    if "%d" not in form or "%m" not in form or not pa.types.is_string(values.type):
        return
    swapped = form.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
    shares: list[float] = []
    for text_format in (form, swapped):
        reading = time.model_copy(update={"format": text_format, "frequency": "h"})
        parsed, unread = parse_times(pa.chunked_array([values]), reading)
        if unread.any():
            return
        shares.append(regularity(parsed.to_numpy(zero_copy_only=False).astype("datetime64[us]")))
    if shares[1] >= _DECISIVE * shares[0]:
        message = f"read as {form}, {shares[0]:.0%} of the periods have a row, and read as {swapped}, {shares[1]:.0%}"
        yield Problem(
            "warning", "time.format", f"{message}; look at the dates, and swap day and month if they are wrong"
        )


def _zone(values: pa.Array, time: Time) -> Iterator[Problem]:
    """Warn of times that name zones or offsets where the fleet file names none."""
    named = getattr(values.type, "tz", None)
    texts = values.to_pylist() if pa.types.is_string(values.type) else []
    offsets = sorted({match["offset"] for text in texts if (match := OFFSET.search(text.strip()))})
    others = [offset for offset in offsets if offset not in _ZERO]
    if time.rule.is_clock:
        shown = named if named is not None and named not in ("UTC", "Etc/UTC") else ", ".join(others[:4])
        if shown:
            message = f"the times carry {shown}, but the fleet has no zone, so that seasons follow UTC"
            example = named if named and "/" in named else "Europe/Berlin"
            yield Problem("warning", "time.zone", f"{message}; set the zone whose clock they follow, such as {example}")
    elif len(others) > 2:
        message = f"offsets are mixed ({', '.join(others[:4])}), and each date is the one that is written"
        yield Problem("warning", "time.zone", f"{message}; set the zone whose dates count if that is another")
    elif named in ("UTC", "Etc/UTC") or (offsets and not others):
        yield from _midnights(values, time)


def _midnights(values: pa.Array, time: Time) -> Iterator[Problem]:
    """Warn of dates in UTC that seem to be midnights of another zone, such as 22:00 in summer and 23:00 in winter."""
    hourly = time.model_copy(update={"frequency": "min", "zone": "UTC"})
    parsed, _ = parse_times(pa.chunked_array([values]), hourly)
    instants = parsed.drop_null().to_numpy(zero_copy_only=False).astype("datetime64[us]")
    minutes = np.unique(instants.astype("datetime64[m]").astype(np.int64) % 1_440)
    if 1 <= len(minutes) <= 2 and (minutes != 0).all():
        shown = " or ".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in minutes.tolist())
        message = (
            f"all times are {shown} in UTC, as if they were midnights of another zone; the dates may be off by one"
        )
        yield Problem("warning", "time.zone", f"{message}; set the zone, such as Europe/Berlin")


def frequency_changes(rows: SegmentRows) -> Iterator[Problem]:
    """Warn of histories whose rows become much closer or rarer, such as monthly ones that go on by day."""
    time = rows.fleet.time
    if time is None or not rows.fleet.task_type.periodic:
        return
    starts = np.flatnonzero(np.append(True, np.diff(rows.codes) != 0))
    ends = np.append(starts[1:], len(rows.codes))
    changed, example = 0, ""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start < _LEAST_ROWS:
            continue
        parts = np.array_split(np.diff(rows.times[start:end]).astype(np.float64), _PARTS)
        medians = [max(float(np.median(part)), 1.0) for part in parts]
        if _is_regular(parts[0]) and _is_regular(parts[-1]) and not 1 / _CHANGE < medians[0] / medians[-1] < _CHANGE:
            changed += 1
            example = example or f"{rows.keys[rows.codes[start]]}: {_span(medians[0])}, later {_span(medians[-1])}"
    if changed and changed >= 0.1 * len(starts):
        message = f"the distance between rows changes within the history of {changed:,} segments ({example})"
        way_out = "bring all rows to one frequency first, or leave the older ones out by validation.time_range"
        yield Problem("warning", "time.frequency", f"{message}; {way_out}")


def _is_regular(distances: FloatArray) -> bool:
    """Return True if almost all distances are alike, as those of rows that are there only at times are not."""
    median = float(np.median(distances))
    return bool(np.mean(np.abs(distances - median) <= 0.15 * median) >= _ALIKE)


def _span(micros: float) -> str:
    """A distance in words, such as `7 days apart`."""
    days = micros / 86_400_000_000
    if days >= 1:
        return f"{days:.3g} day{'' if round(days, 1) == 1 else 's'} apart"
    minutes = days * 1_440
    return f"{minutes:.3g} minutes apart" if minutes < 60 else f"{minutes / 60:.3g} hours apart"
