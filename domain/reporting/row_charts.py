"""Figures and charts of the test rows of a regression fleet: predicted against actual values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from domain.reporting.formatting import format_number, format_percent, format_short
from domain.reporting.svg import BAR, LINE, TEXT, Axes, FloatArray, tick_labels, ticks

__all__ = [
    "CalibrationBin",
    "RowsExample",
    "TestRows",
    "calibration_bins",
    "calibration_chart",
    "residual_chart",
    "rows_chart",
]

_POINTS = 250
_BINS = 40
_SLICES = 10


@dataclass(frozen=True)
class TestRows:
    """Rows with a predicted and an actual value.

    actual, prediction, lower, upper : float arrays of shape (n_rows,); bounds are NaN without an interval.
    every : sampling step, of which each `every`-th row was kept.
    """

    __test__ = False  # pytest must not collect it

    actual: FloatArray
    prediction: FloatArray
    lower: FloatArray
    upper: FloatArray
    every: int = 1


@dataclass(frozen=True)
class RowsExample:
    """Rows of one segment. caption : reason for showing it. note : backtest figures."""

    segment: str
    caption: str
    rows: TestRows
    model: str = ""
    note: str = ""


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with similar predictions. low, high : 10th and 90th percentile of the actual values."""

    rows: int
    prediction: float
    actual: float
    low: float
    high: float
    error: float
    coverage: float


def calibration_bins(rows: TestRows) -> list[CalibrationBin]:
    """Divide the rows into up to ten equally large bins by prediction, to compare mean predicted and actual values."""
    order = np.argsort(rows.prediction, kind="stable")
    bins = []
    for part in np.array_split(order, min(_SLICES, max(len(order), 1))):
        if not len(part):
            continue
        actual, prediction = rows.actual[part], rows.prediction[part]
        known = np.isfinite(rows.lower[part]) & np.isfinite(rows.upper[part])
        covered = (actual >= rows.lower[part]) & (actual <= rows.upper[part])
        bins.append(
            CalibrationBin(
                rows=len(part),
                prediction=float(prediction.mean()),
                actual=float(actual.mean()),
                low=float(np.quantile(actual, 0.1)),
                high=float(np.quantile(actual, 0.9)),
                error=float(np.abs(actual - prediction).mean()),
                coverage=float(covered[known].mean()) if known.any() else math.nan,
            )
        )
    return bins


def calibration_chart(bins: Sequence[CalibrationBin], target: str) -> Markup:
    """Draw the mean actual value (y) by mean prediction (x); a calibrated model follows the diagonal."""
    predicted = np.array([group.prediction for group in bins])
    actual = np.array([group.actual for group in bins])
    bounds = np.array([[group.low, group.high] for group in bins])
    x_range = _padded(predicted)
    axes = Axes(480, 300, (28, 14, 44, 58), x_range, _padded(np.concatenate([actual, bounds.ravel(), predicted])))
    parts = [*_value_axes(axes, f"predicted {target}, mean of the group"), axes.y_title(f"actual {target}")]
    parts.append(axes.diagonal())
    for group in bins:
        place = float(axes.x(group.prediction))
        parts.append(LINE.format("spread", place, place, float(axes.y(group.low)), float(axes.y(group.high))))
    parts += [axes.path("line champion", predicted, actual), axes.dots("dots", predicted, actual)]
    return axes.svg("wide", f"Mean actual {target} by predicted {target}, in {len(bins)} groups of rows", parts)


def residual_chart(rows: TestRows, target: str) -> Markup:
    """Draw the histogram of actual - predicted between the 1st and 99th percentiles; outer bars include the tails."""
    residual = rows.actual - rows.prediction
    low, high = (float(edge) for edge in np.quantile(residual, [0.01, 0.99]))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    counts, edges = np.histogram(np.clip(residual, low, high), bins=_BINS, range=(low, high))
    shares = counts / len(residual)
    axes = Axes(480, 300, (28, 14, 44, 58), (low, high), (0.0, float(shares.max()) * 1.05))
    parts = axes.y_axis([(tick, format_percent(tick, 1)) for tick in ticks(*axes.y_range, 4)])
    width = float(axes.x(edges[1]) - axes.x(edges[0])) - 1.0
    for share, left in zip(shares, edges[:-1], strict=True):
        top = float(axes.y(share))
        span = f"{format_number(left)} to {format_number(left + edges[1] - edges[0])}"
        tooltip = f"{span}: {format_percent(float(share), 1)}"
        parts.append(BAR.format("plain", float(axes.x(left)) + 0.5, top, width, axes.base - top, tooltip))
    if low < 0 < high:
        place = float(axes.x(0.0))
        parts.append(LINE.format("origin", place, place, axes.margins[0], axes.base))
    parts += axes.x_axis(tick_labels(ticks(low, high, 5)), f"actual − predicted {target}")
    parts.append(axes.y_title("share of rows"))
    return axes.svg("wide", f"Distribution of actual minus predicted {target}", parts)


def rows_chart(example: RowsExample) -> Markup:
    """Draw actual (y) against predicted (x) values between the 1st and 99th percentiles of both."""
    step = math.ceil(len(example.rows.actual) / _POINTS) or 1
    actual, prediction = example.rows.actual[::step], example.rows.prediction[::step]
    if not len(actual):
        return Markup("")
    inside = _padded(np.quantile(np.concatenate([actual, prediction]), [0.01, 0.99]))
    x_range = _padded(np.quantile(prediction, [0.01, 0.99]))
    axes = Axes(360, 190, (10, 12, 24, 50), x_range, inside)
    visible = (prediction >= x_range[0]) & (prediction <= x_range[1]) & (actual >= inside[0]) & (actual <= inside[1])
    parts = axes.y_axis([(tick, format_short(tick)) for tick in ticks(*inside, 4)])
    parts.append(LINE.format("axis", axes.margins[3], axes.width - axes.margins[1], axes.base, axes.base))
    for tick in ticks(*x_range, 4):
        parts.append(TEXT.format("mid", float(axes.x(tick)), axes.base + 17, format_short(tick)))
    parts += [axes.diagonal(), axes.dots("dots", prediction[visible], actual[visible])]
    return axes.svg("small", f"{example.segment}: actual against predicted values of {len(actual)} rows", parts)


def _value_axes(axes: Axes, title: str) -> list[Markup]:
    rows = axes.y_axis([(tick, format_short(tick)) for tick in ticks(*axes.y_range, 5)])
    return rows + axes.x_axis([(tick, format_short(tick)) for tick in ticks(*axes.x_range, 6)], title)


def _padded(values: FloatArray) -> tuple[float, float]:
    """Range of the values with a margin; never empty."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or abs(high) or 1.0
    return low - room, high + room
