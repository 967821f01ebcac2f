"""Accuracy of past predictions against later observations, by step and by release, with its chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from domain.reporting.formatting import format_metric, format_number, format_short
from domain.reporting.svg import Axes, ticks

__all__ = ["LiveAccuracy", "PastAccuracy", "step_chart"]


@dataclass(frozen=True)
class LiveAccuracy:
    """Accuracy of one step or release over the predictions that have an actual value by now.

    key : step or release number. error : in `PastAccuracy.metric`. bias : mean of prediction minus actual.
    coverage : share of the actual values inside the prediction interval. Unknown figures are NaN.
    """

    key: int
    rows: int
    error: float
    bias: float
    coverage: float


@dataclass(frozen=True)
class PastAccuracy:
    """Predictions of earlier runs against later observations, ordered by step and by release."""

    metric: str = "wape"
    steps: Sequence[LiveAccuracy] = ()
    releases: Sequence[LiveAccuracy] = ()


def step_chart(past: PastAccuracy) -> Markup:
    """Draw the error (y) by periods ahead (x); steps without a figure are left out."""
    known = [item for item in past.steps if math.isfinite(item.error)]
    if not known:
        return Markup("")
    label = format_metric(past.metric)
    places, values = [float(item.key) for item in known], [item.error for item in known]
    axes = Axes(480, 300, (28, 14, 44, 58), (min(places) - 0.5, max(places) + 0.5), (0.0, max(values) * 1.08 or 1.0))
    parts = axes.y_axis([(tick, format_short(tick)) for tick in ticks(*axes.y_range, 4)])
    whole = [tick for tick in ticks(*axes.x_range, 6) if tick == int(tick)]
    parts += axes.x_axis([(tick, f"{tick:.0f}") for tick in whole], "periods ahead")
    parts += [axes.y_title(label), axes.path("line champion", places, values), axes.dots("dots", places, values)]
    texts = [f"{item.key} ahead: {label} {format_number(item.error)}, {item.rows:,} rows" for item in known]
    parts += axes.tooltips(axes.x(places), float(axes.x(1.0) - axes.x(0.0)), texts)
    return axes.svg("wide", "Error of past predictions by periods ahead", parts)
