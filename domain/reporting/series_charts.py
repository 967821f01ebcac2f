"""Chart of the history and forecast of one segment, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from markupsafe import Markup

from domain.reporting.formatting import MONTHS, format_number, format_short
from domain.reporting.svg import LINE, TEXT, Axes, FloatArray, ticks

__all__ = ["SeriesExample", "forecast_chart"]

_HISTORY_POINTS = (36, 160)  # minimum and maximum; in between four horizons, so that the forecast stays visible
_TOOLTIPS = 60  # steps; a longer forecast has no tooltips
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SeriesExample:
    """History and forecast of one segment; every sequence is in time order.

    caption : reason for showing the segment. model : model behind the forecast. note : backtest figures.
    times, history : up to the origin. forecast_times, prediction, lower, upper : after the origin.
    actual : at `forecast_times`; empty or NaN where unknown.
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
    """Choose the range of the values; the interval may widen it, but not dwarf them."""
    values, bounds = values[np.isfinite(values)], bounds[np.isfinite(bounds)]
    if not len(values):
        return (0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    room = (high - low) or abs(high) or 1.0
    if len(bounds):
        low, high = min(low, max(float(bounds.min()), low - room)), max(high, min(float(bounds.max()), high + room))
    low = 0.0 if 0 <= low < 0.5 * high else low
    return (low, high) if high > low else (low - room / 2, high + room / 2)


def forecast_chart(example: SeriesExample) -> Markup:
    """Draw the recent history, the forecast with its interval and, where known, the actual values."""
    past = slice(-int(np.clip(4 * len(example.forecast_times), *_HISTORY_POINTS)), None)
    before, after = _seconds(example.times[past]), _seconds(example.forecast_times)
    history, prediction, lower, upper, actual = (
        np.array(part, dtype=np.float64)
        for part in (example.history[past], example.prediction, example.lower, example.upper, example.actual)
    )
    times = np.concatenate([before, after])
    if not len(times):
        return Markup("")
    y_range = _y_range(np.concatenate([history, prediction, actual]), np.concatenate([lower, upper]))
    axes = Axes(360, 190, (10, 12, 24, 50), (float(times.min()), float(times.max())), y_range)
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
    span_s = float(np.ptp(times))
    if 0 < len(after) <= _TOOLTIPS:
        parts += _tooltips(axes, example, after, span_s)
    first, last = (_time_text(float(edge), span_s) for edge in axes.x_range)
    return axes.svg("small", f"{example.segment}: history and forecast from {first} to {last}", parts)


def _tooltips(axes: Axes, example: SeriesExample, after: FloatArray, span_s: float) -> Iterator[Markup]:
    """Draw one tooltip per step."""
    places = axes.x(after)
    width = max(float(np.ptp(places)) / max(len(places) - 1, 1), 2.0)
    return axes.tooltips(places, width, [_tooltip(example, step, span_s) for step in range(len(after))])


def _tooltip(example: SeriesExample, step: int, span_s: float) -> str:
    """Describe a step by its time, forecast, interval and, where known, actual value."""
    time = _time_text(float(_seconds(example.forecast_times)[step]), span_s)
    text = f"{time}: forecast {format_number(example.prediction[step])}"
    if math.isfinite(example.lower[step]) and math.isfinite(example.upper[step]):
        text += f" ({format_number(example.lower[step])} to {format_number(example.upper[step])})"
    if step < len(example.actual) and math.isfinite(example.actual[step]):
        text += f", actual {format_number(example.actual[step])}"
    return text


def _time_axis(axes: Axes) -> Iterator[Markup]:
    _, right, _, left = axes.margins
    yield LINE.format("axis", left, axes.width - right, axes.base, axes.base)
    for seconds, name in _time_ticks(*axes.x_range):
        place = float(axes.x(seconds))
        yield LINE.format("axis", place, place, axes.base, axes.base + 4)
        side = "end" if place > axes.width - 36 else "mid"
        yield TEXT.format(side, min(place, axes.width - 2.0), axes.base + 17, name)


def _time_ticks(low_s: float, high_s: float) -> list[tuple[float, str]]:
    """Choose two to five round times within the range: years, months, days or hours."""
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
    return [(start, _time_text(start, 0.0 if hours < 24 else 86_400 * 30)) for start in starts]


def _month(time: datetime) -> str:
    return f"{MONTHS[time.month - 1]} {time.year}"


def _time_text(seconds: float, span_s: float) -> str:
    """Format a time as precisely as a chart over `span_s` seconds needs it."""
    time = _EPOCH + timedelta(seconds=seconds)
    if span_s > 1_000 * 86_400:
        return _month(time)
    day = f"{time.day} {MONTHS[time.month - 1]}"
    if span_s > 90 * 86_400:
        return f"{day} {time.year}"
    return day if span_s > 14 * 86_400 else f"{day} {time:%H:%M}"
