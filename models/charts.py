"""Charts as inline SVG. Values are aggregated before they are drawn; colours are the page's CSS classes.

Markup is only ever made with `Markup.format`, which escapes what it is given: no segment name can break out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from models.formats import format_short

FloatArray = NDArray[np.float64]

__all__ = ["Comparison", "SeriesSample", "compare", "ecdf_chart", "forecast_chart", "ratio_chart"]

SAME = 0.025
"""Champion and baseline are called equal within this share; half a bin of the ratio chart."""
_BINS = 41  # centred on 0, 0.05, ... 2.0; the last one takes everything above
_CURVE_POINTS = 200
_HISTORY_POINTS = (36, 160)  # at least and at most; four horizons in between, or nobody sees the forecast


_SVG = Markup('<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>')
_LINE = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
_TEXT = Markup('<text class="tick {}" x="{:.1f}" y="{:.1f}">{}</text>')
_PATH = Markup('<path class="{}" d="{}"/>')
_BAR = Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')


@dataclass(frozen=True)
class SeriesSample:
    """One segment's history and forecast; every sequence in the order of its times.

    times, history : up to the origin. forecast_times, prediction, lower, upper : after it.
    actual : at `forecast_times`, where known; empty or NaN where not.
    """

    segment: str
    title: str
    times: Sequence[datetime]
    history: Sequence[float]
    forecast_times: Sequence[datetime]
    prediction: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    actual: Sequence[float] = ()
    model: str = ""


@dataclass(frozen=True)
class Comparison:
    """Errors of the segments that have both figures; ratio = champion / baseline, 1 where both are 0.

    missing : segments left out because a figure is unknown.
    """

    champion: FloatArray
    baseline: FloatArray
    ratio: FloatArray
    missing: int

    @property
    def better(self) -> int:
        """Segments whose champion is better than the baseline by more than `SAME`."""
        return int((self.ratio < 1 - SAME).sum())

    @property
    def worse(self) -> int:
        """Segments whose champion is worse than the baseline by more than `SAME`."""
        return int((self.ratio > 1 + SAME).sum())

    @property
    def same(self) -> int:
        """The other segments."""
        return len(self.ratio) - self.better - self.worse

    def quantiles(self, share: float) -> tuple[float, float, float]:
        """Champion, baseline and ratio that `share` of the segments do not exceed (lower quantile, never made up)."""
        if not len(self.ratio):
            return (math.nan, math.nan, math.nan)
        parts = (self.champion, self.baseline, self.ratio)
        champion, baseline, ratio = (float(np.quantile(part, share, method="inverted_cdf")) for part in parts)
        return champion, baseline, ratio


def compare(champion: Sequence[float | None], baseline: Sequence[float | None]) -> Comparison:
    """Pair the errors of all segments, one each; None and NaN mean unknown."""
    ours, naive = (np.array([math.nan if x is None else x for x in part], dtype=float) for part in (champion, baseline))
    known = np.isfinite(ours) & np.isfinite(naive)
    ours, naive = ours[known], naive[known]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((ours == 0) & (naive == 0), 1.0, ours / naive)
    return Comparison(ours, naive, ratio, int((~known).sum()))


@dataclass(frozen=True)
class _Frame:
    """Pixel box of a chart and the ranges that it shows."""

    width: int
    height: int
    margins: tuple[int, int, int, int]  # top, right, bottom, left
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, values: ArrayLike) -> FloatArray:
        low, high = self.x_range
        _, right, _, left = self.margins
        share = (np.asarray(values, dtype=np.float64) - low) / ((high - low) or 1.0)
        return np.asarray(left + share * (self.width - left - right))

    def y(self, values: ArrayLike) -> FloatArray:
        low, high = self.y_range
        top, _, bottom, _ = self.margins
        share = (np.clip(np.asarray(values, dtype=np.float64), low, high) - low) / ((high - low) or 1.0)
        return np.asarray(self.height - bottom - share * (self.height - top - bottom))

    @property
    def base(self) -> int:
        """y of the lower edge."""
        return self.height - self.margins[2]

    def svg(self, kind: str, title: str, parts: Sequence[Markup]) -> Markup:
        return _SVG.format(kind, self.width, self.height, title, title, Markup("").join(parts))

    def y_axis(self, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
        _, right, _, left = self.margins
        rows = [(float(self.y(value)), label) for value, label in ticks]
        lines = [_LINE.format("grid", left, self.width - right, y, y) for y, _ in rows]
        return lines + [_TEXT.format("end", left - 6, y + 4, label) for y, label in rows]

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> list[Markup]:
        _, right, _, left = self.margins
        axis = _LINE.format("axis", left, self.width - right, self.base, self.base)
        places = [_TEXT.format("mid", float(self.x(value)), self.base + 17, name) for value, name in ticks]
        return [axis, *places, _TEXT.format("mid", (left + self.width - right) / 2, self.base + 36, label)]

    def path(self, kind: str, xs: ArrayLike, ys: ArrayLike) -> Markup:
        """A line that is interrupted where y is NaN."""
        steps, pen = [], "M"
        for x, y in zip(self.x(xs), self.y(ys), strict=True):
            if math.isfinite(y):
                # h0: a point between two gaps is drawn as a dot.
                steps.append(f"{pen}{x:.1f},{y:.1f}" + ("h0" if pen == "M" else ""))
            pen = "L" if math.isfinite(y) else "M"
        return _PATH.format(kind, "".join(steps))


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round values within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _labels(values: Sequence[float]) -> list[tuple[float, str]]:
    return [(value, f"{value:,.6g}") for value in values]


def ecdf_chart(comparison: Comparison, metric: str) -> Markup:
    """Share of segments (y) whose error is at most x, champion and baseline; the axis ends at the 97th percentile."""
    pooled = np.concatenate([comparison.champion, comparison.baseline])
    edge = float(np.quantile(pooled, 0.97)) or 1.0
    frame = _Frame(480, 280, (12, 14, 44, 58), (0.0, edge), (0.0, 1.0))
    parts = frame.y_axis([(share / 4, f"{25 * share} %") for share in range(5)])
    parts += frame.x_axis(_labels(_ticks(0.0, edge, 5)), f"{metric} of a segment")
    for kind, values in (("line baseline", comparison.baseline), ("line champion", comparison.champion)):
        order = np.sort(values)
        shares = np.arange(1, len(order) + 1) / len(order)
        inside = int(np.searchsorted(order, edge, side="right"))
        kept = np.unique(np.linspace(0, inside - 1, min(inside, _CURVE_POINTS)).astype(int))
        end = shares[inside - 1] if inside else 0.0
        parts.append(frame.path(kind, [0.0, *order[kept], edge], [0.0, *shares[kept], end]))
    return frame.svg("wide", f"Share of segments by {metric}: champion and baseline", parts)


def ratio_chart(comparison: Comparison) -> Markup:
    """Histogram of champion / baseline: better left of 1, worse right of it; the last bar takes all above 1.975."""
    place = np.clip(np.floor(np.minimum(comparison.ratio, 2.0) / (2 * SAME) + 0.5), 0, _BINS - 1).astype(int)
    counts = np.bincount(place, minlength=_BINS)
    frame = _Frame(480, 280, (12, 14, 44, 58), (-SAME, 2 + SAME), (0.0, float(max(counts.max(), 1)) * 1.05))
    parts = frame.y_axis(_labels([tick for tick in _ticks(*frame.y_range, 4) if tick == int(tick)]))
    width = float(frame.x(2 * SAME) - frame.x(0.0)) - 1.0
    for index in np.flatnonzero(counts):
        centre, top = 2 * SAME * index, float(frame.y(counts[index]))
        kind = "same" if index == _BINS // 2 else "better" if index < _BINS // 2 else "worse"
        low, high = max(centre - SAME, 0.0), centre + SAME
        span = f"above {low:.3f}" if index == _BINS - 1 else f"{low:.3f} to {high:.3f}"
        left, height = float(frame.x(centre - SAME)) + 0.5, float(frame.y(0)) - top
        parts.append(_BAR.format(kind, left, top, width, height, f"{span}: {counts[index]:,} segments"))
    ticks = [(0.0, "0"), (0.5, "0.5"), (1.0, "1"), (1.5, "1.5"), (2.0, "2+")]
    parts += frame.x_axis(ticks, "champion error / baseline error")
    return frame.svg("wide", "Number of segments by champion error divided by baseline error", parts)


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


def forecast_chart(sample: SeriesSample) -> Markup:
    """History, prediction with interval and, where known, the actual values; only the recent part of a long history."""
    past = slice(-int(np.clip(4 * len(sample.forecast_times), *_HISTORY_POINTS)), None)
    before, after = _seconds(sample.times[past]), _seconds(sample.forecast_times)
    history = np.array(sample.history[past], dtype=np.float64)
    prediction = np.array(sample.prediction, dtype=np.float64)
    lower, upper = np.array(sample.lower, dtype=np.float64), np.array(sample.upper, dtype=np.float64)
    actual = np.array(sample.actual, dtype=np.float64)
    moments = np.concatenate([before, after])
    if not len(moments):
        return Markup("")
    y_range = _y_range(np.concatenate([history, prediction, actual]), np.concatenate([lower, upper]))
    frame = _Frame(320, 160, (8, 10, 20, 46), (float(moments.min()), float(moments.max())), y_range)
    parts = frame.y_axis([(tick, format_short(tick)) for tick in _ticks(*y_range, 3)])
    inside = np.isfinite(lower) & np.isfinite(upper)
    if inside.any():
        edges = np.concatenate([after[inside], after[inside][::-1]])
        parts.append(frame.path("band", edges, np.concatenate([upper[inside], lower[inside][::-1]])))
    if len(before):
        origin = float(frame.x(before[-1]))
        parts.append(_LINE.format("origin", origin, origin, frame.margins[0], frame.base))
    parts += [frame.path("line history", before, history), frame.path("line champion", after, prediction)]
    if len(actual):
        parts.append(frame.path("line actual", after[: len(actual)], actual))
    first, last = (_moment(float(edge), float(np.ptp(moments))) for edge in frame.x_range)
    parts.append(_TEXT.format("", frame.margins[3], frame.base + 15, first))
    parts.append(_TEXT.format("end", frame.width - frame.margins[1], frame.base + 15, last))
    return frame.svg("small", f"{sample.title}: history from {first}, forecast to {last}", parts)


def _moment(seconds: float, span_s: float) -> str:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    days = span_s / 86_400
    return f"{time:%Y-%m}" if days > 1000 else f"{time:%Y-%m-%d}" if days > 14 else f"{time:%m-%d %H:%M}"
