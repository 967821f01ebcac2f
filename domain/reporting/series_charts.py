"""History and forecast of one segment as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from markupsafe import Markup

from domain.reporting.formatting import MONTHS, format_number, format_short
from domain.reporting.svg import HIT_AREA, LINE, TEXT, Axes, FloatArray, ticks

__all__ = ["SeriesExample", "forecast_chart"]

_HISTORY_POINTS = (36, 160)  # at least and at most; four horizons in between, or nobody sees the forecast
_TOOLTIPS = 60  # of a forecast; a longer one has none
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SeriesExample:
    """One segment's history and forecast; every sequence in the order of its times.

    caption : what the segment is an example of. model : what made the forecast. note : figures of the backtest.
    times, history : up to the origin. forecast_times, prediction, lower, upper : after it.
    actual : at `forecast_times`, where known; empty or NaN where not.
    """

    segment: str
    caption: str
    times: Sequence[datetime]
    history: Sequence[float]
    forecast_times: Sequence[datetime]
    prediction: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    actual: Sequence[float] = ()
    model: str = ""
    note: str = ""


def _seconds(times: Sequence[datetime]) -> FloatArray:
    zoned = (time if time.tzinfo else time.replace(tzinfo=UTC) for time in times)
    return np.array([time.timestamp() for time in zoned], dtype=np.float64)


def _y_range(values: FloatArray, bounds: FloatArray) -> tuple[float, float]:
    """Range of the values, and of the interval as far as it does not dwarf them."""
    values, bounds = values[np.isfinite(values)], bounds[np.isfinite(bounds)]
    if not len(values):
        return (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    room = (high - low) or abs(high) or 1.0
    if len(bounds):
        low, high = min(low, max(float(bounds.min()), low - room)), max(high, min(float(bounds.max()), high + room))
    low = 0.0 if 0 <= low < 0.5 * high else low
    return (low, high) if high > low else (low - room / 2, high + room / 2)


def forecast_chart(sample: SeriesExample) -> Markup:
    """History, prediction with interval and, where known, the actual values; only the recent part of a long history."""
    past = slice(-int(np.clip(4 * len(sample.forecast_times), *_HISTORY_POINTS)), None)
    before, after = _seconds(sample.times[past]), _seconds(sample.forecast_times)
    history, prediction, lower, upper, actual = (
        np.array(part, dtype=np.float64)
        for part in (sample.history[past], sample.prediction, sample.lower, sample.upper, sample.actual)
    )
    moments = np.concatenate([before, after])
    if not len(moments):
        return Markup("")
    y_range = _y_range(np.concatenate([history, prediction, actual]), np.concatenate([lower, upper]))
    axes = Axes(360, 190, (10, 12, 24, 50), (float(moments.min()), float(moments.max())), y_range)
    parts = axes.y_axis([(tick, format_short(tick)) for tick in ticks(*y_range, 4)])
    parts += _time_axis(axes)
    inside = np.isfinite(lower) & np.isfinite(upper)
    if inside.any():
        edges = np.concatenate([after[inside], after[inside][::-1]])
        parts.append(axes.path("band", edges, np.concatenate([upper[inside], lower[inside][::-1]])))
    if len(before):
        origin = float(axes.x(before[-1]))
        parts.append(LINE.format("origin", origin, origin, axes.margins[0], axes.base))
    parts += [axes.path("line history", before, history), axes.path("line champion", after, prediction)]
    if len(actual):
        parts.append(axes.path("line actual", after[: len(actual)], actual))
    span_s = float(np.ptp(moments))
    if 0 < len(after) <= _TOOLTIPS:
        parts += _tooltips(axes, sample, after, span_s)
    first, last = (_moment(float(edge), span_s) for edge in axes.x_range)
    return axes.svg("small", f"{sample.segment}: history and forecast from {first} to {last}", parts)


def _tooltips(axes: Axes, sample: SeriesExample, after: FloatArray, span_s: float) -> Iterator[Markup]:
    """One a step: time, forecast, interval and actual in words."""
    places = axes.x(after)
    width = max(float(np.ptp(places)) / max(len(places) - 1, 1), 2.0)
    for step, place in enumerate(places):
        told = f"{_moment(float(after[step]), span_s)}: forecast {format_number(sample.prediction[step])}"
        if math.isfinite(sample.lower[step]) and math.isfinite(sample.upper[step]):
            told += f" ({format_number(sample.lower[step])} to {format_number(sample.upper[step])})"
        if step < len(sample.actual) and math.isfinite(sample.actual[step]):
            told += f", actual {format_number(sample.actual[step])}"
        height = axes.base - axes.margins[0]
        yield HIT_AREA.format(float(place) - width / 2, axes.margins[0], width, height, told)


def _time_axis(axes: Axes) -> Iterator[Markup]:
    _, right, _, left = axes.margins
    yield LINE.format("axis", left, axes.width - right, axes.base, axes.base)
    for seconds, name in _time_ticks(*axes.x_range):
        place = float(axes.x(seconds))
        yield LINE.format("axis", place, place, axes.base, axes.base + 4)
        side = "end" if place > axes.width - 36 else "mid"
        yield TEXT.format(side, min(place, axes.width - 2.0), axes.base + 17, name)


def _time_ticks(low_s: float, high_s: float) -> list[tuple[float, str]]:
    """Two to five round times within the range: years, months, days or hours."""
    low, high = (_EPOCH + timedelta(seconds=edge) for edge in (low_s, high_s))
    days = (high_s - low_s) / 86_400
    if days > 80:
        months = range(12 * low.year + low.month, 12 * high.year + high.month)
        step = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120, 240) if len(months) // step <= 4), 600)
        times = [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months if month % step == 0]
        return [(time.timestamp(), f"{time.year}" if step >= 12 else _month(time)) for time in times]
    hours = next((step for step in (1, 3, 6, 12, 24, 48, 168, 336) if 24 * days / step <= 4), 504)
    first = math.ceil(low_s / 3_600 / hours)
    starts = [3_600.0 * hours * index for index in range(first, math.floor(high_s / 3_600 / hours) + 1)]
    return [(start, _moment(start, 0.0 if hours < 24 else 86_400 * 30)) for start in starts]


def _month(time: datetime) -> str:
    return f"{MONTHS[time.month - 1]} {time.year}"


def _moment(seconds: float, span_s: float) -> str:
    """A time as precise as a chart over `span_s` needs it."""
    time = _EPOCH + timedelta(seconds=seconds)
    if span_s > 1_000 * 86_400:
        return _month(time)
    day = f"{time.day} {MONTHS[time.month - 1]}"
    if span_s > 90 * 86_400:
        return f"{day} {time.year}"
    return day if span_s > 14 * 86_400 else f"{day} {time:%H:%M}"
