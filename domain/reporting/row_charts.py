"""Predictions of single rows against what came of them: figures and charts of a regression fleet's test part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from domain.reporting.formatting import format_number, format_percent, format_short
from domain.reporting.svg import BAR, LINE, TEXT, FloatArray, Frame, labels, ticks

__all__ = ["RowsSample", "Slice", "TestRows", "calibration_chart", "residual_chart", "rows_chart", "slices"]

_POINTS = 250
_BINS = 40
_SLICES = 10


@dataclass(frozen=True)
class TestRows:
    """Rows with a prediction and a truth, each [n]; NaN where there is no interval. every : one of so many rows."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    actual: FloatArray
    prediction: FloatArray
    lower: FloatArray
    upper: FloatArray
    every: int = 1


@dataclass(frozen=True)
class RowsSample:
    """Rows of one segment; why : what it is an example of. note : figures of the backtest."""

    segment: str
    why: str
    rows: TestRows
    model: str = ""
    note: str = ""


@dataclass(frozen=True)
class Slice:
    """Rows with predictions in one range. low, high : 10th and 90th percentile of the actual values."""

    rows: int
    prediction: float
    actual: float
    low: float
    high: float
    error: float
    coverage: float


def slices(rows: TestRows) -> list[Slice]:
    """Up to ten equally large groups of rows, by prediction: does the actual mean follow the predicted one?"""
    order = np.argsort(rows.prediction, kind="stable")
    found = []
    for part in np.array_split(order, min(_SLICES, max(len(order), 1))):
        if not len(part):
            continue
        actual, prediction = rows.actual[part], rows.prediction[part]
        known = np.isfinite(rows.lower[part]) & np.isfinite(rows.upper[part])
        covered = (actual >= rows.lower[part]) & (actual <= rows.upper[part])
        found.append(
            Slice(
                rows=len(part),
                prediction=float(prediction.mean()),
                actual=float(actual.mean()),
                low=float(np.quantile(actual, 0.1)),
                high=float(np.quantile(actual, 0.9)),
                error=float(np.abs(actual - prediction).mean()),
                coverage=float(covered[known].mean()) if known.any() else math.nan,
            )
        )
    return found


def calibration_chart(groups: Sequence[Slice], target: str) -> Markup:
    """Mean actual value (y) of rows with a similar prediction (x); on the diagonal they agree."""
    predicted = np.array([group.prediction for group in groups])
    actual = np.array([group.actual for group in groups])
    bounds = np.array([[group.low, group.high] for group in groups])
    x_range = _padded(predicted)
    frame = Frame(480, 300, (28, 14, 44, 58), x_range, _padded(np.concatenate([actual, bounds.ravel(), predicted])))
    parts = [*_value_axes(frame, f"predicted {target}, mean of the group"), frame.y_title(f"actual {target}")]
    parts.append(frame.diagonal())
    for group in groups:
        place = float(frame.x(group.prediction))
        parts.append(LINE.format("spread", place, place, float(frame.y(group.low)), float(frame.y(group.high))))
    parts += [frame.path("line champion", predicted, actual), frame.dots("dots", predicted, actual)]
    return frame.svg("wide", f"Mean actual {target} by predicted {target}, in {len(groups)} groups of rows", parts)


def residual_chart(rows: TestRows, target: str) -> Markup:
    """Histogram of actual - predicted between their 1st and 99th percentile; the outer bars take what is beyond."""
    residual = rows.actual - rows.prediction
    low, high = (float(edge) for edge in np.quantile(residual, [0.01, 0.99]))
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    counts, edges = np.histogram(np.clip(residual, low, high), bins=_BINS, range=(low, high))
    shares = counts / len(residual)
    frame = Frame(480, 300, (28, 14, 44, 58), (low, high), (0.0, float(shares.max()) * 1.05))
    parts = frame.y_axis([(tick, format_percent(tick, 1)) for tick in ticks(*frame.y_range, 4)])
    width = float(frame.x(edges[1]) - frame.x(edges[0])) - 1.0
    for share, left in zip(shares, edges[:-1], strict=True):
        top = float(frame.y(share))
        told = (
            f"{format_number(left)} to {format_number(left + edges[1] - edges[0])}: {format_percent(float(share), 1)}"
        )
        parts.append(BAR.format("plain", float(frame.x(left)) + 0.5, top, width, frame.base - top, told))
    if low < 0 < high:
        place = float(frame.x(0.0))
        parts.append(LINE.format("origin", place, place, frame.margins[0], frame.base))
    parts += frame.x_axis(labels(ticks(low, high, 5)), f"actual − predicted {target}")
    parts.append(frame.y_title("share of rows"))
    return frame.svg("wide", f"Distribution of actual minus predicted {target}", parts)


def rows_chart(sample: RowsSample) -> Markup:
    """Actual (y) against predicted (x) of a segment's rows, between the 1st and the 99th percentile of both."""
    step = math.ceil(len(sample.rows.actual) / _POINTS) or 1
    actual, prediction = sample.rows.actual[::step], sample.rows.prediction[::step]
    if not len(actual):
        return Markup("")
    inside = _padded(np.quantile(np.concatenate([actual, prediction]), [0.01, 0.99]))
    x_range = _padded(np.quantile(prediction, [0.01, 0.99]))
    frame = Frame(360, 190, (10, 12, 24, 50), x_range, inside)
    shown = (prediction >= x_range[0]) & (prediction <= x_range[1]) & (actual >= inside[0]) & (actual <= inside[1])
    parts = frame.y_axis([(tick, format_short(tick)) for tick in ticks(*inside, 4)])
    parts.append(LINE.format("axis", frame.margins[3], frame.width - frame.margins[1], frame.base, frame.base))
    for tick in ticks(*x_range, 4):
        parts.append(TEXT.format("mid", float(frame.x(tick)), frame.base + 17, format_short(tick)))
    parts += [frame.diagonal(), frame.dots("dots", prediction[shown], actual[shown])]
    return frame.svg("small", f"{sample.segment}: actual against predicted values of {len(actual)} rows", parts)


def _value_axes(frame: Frame, title: str) -> list[Markup]:
    rows = frame.y_axis([(tick, format_short(tick)) for tick in ticks(*frame.y_range, 5)])
    return rows + frame.x_axis([(tick, format_short(tick)) for tick in ticks(*frame.x_range, 6)], title)


def _padded(values: FloatArray) -> tuple[float, float]:
    """Range of the values with a little room; never empty."""
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or abs(high) or 1.0
    return low - room, high + room
