"""How far predictions were from what was observed later, by step and by release; and its chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from domain.reporting.formatting import format_metric, format_number, format_short
from domain.reporting.svg import HIT_AREA, Axes, ticks

__all__ = ["LiveAccuracy", "PastAccuracy", "step_chart"]


@dataclass(frozen=True)
class LiveAccuracy:
    """Predictions of one step, or release, that have an actual value by now; NaN where there is no figure.

    error : in the metric told beside. bias : mean of prediction minus actual. coverage : of the interval, as a share.
    """

    key: int
    rows: int
    error: float
    bias: float
    coverage: float


@dataclass(frozen=True)
class PastAccuracy:
    """Predictions of former runs against later observations; in order of steps and releases."""

    metric: str = "wape"
    steps: Sequence[LiveAccuracy] = ()
    releases: Sequence[LiveAccuracy] = ()


def step_chart(past: PastAccuracy) -> Markup:
    """Error (y) by periods ahead (x); steps without one are left out."""
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
    width = float(axes.x(1.0) - axes.x(0.0))
    for item, place in zip(known, axes.x(places), strict=True):
        told = f"{item.key} ahead: {label} {format_number(item.error)}, {item.rows:,} rows"
        parts.append(
            HIT_AREA.format(float(place) - width / 2, axes.margins[0], width, axes.base - axes.margins[0], told)
        )
    return axes.svg("wide", "Error of past predictions by periods ahead", parts)
