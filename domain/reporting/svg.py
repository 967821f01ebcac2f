"""What every chart is made of: the frame with its axes, and the few kinds of SVG markup.

Markup is only ever made with `Markup.format`, which escapes what it is given: no segment name can break out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

__all__ = ["BAR", "HIT_AREA", "LINE", "TEXT", "Axes", "FloatArray", "tick_labels", "ticks"]

FloatArray = NDArray[np.float64]

SVG = Markup('<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>')
LINE = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
TEXT = Markup('<text class="tick {}" x="{:.1f}" y="{:.1f}">{}</text>')
PATH = Markup('<path class="{}" d="{}"/>')
BAR = Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
HIT_AREA = Markup('<rect class="hit" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
"""Invisible; only there for its tooltip."""


@dataclass(frozen=True)
class Axes:
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
        return SVG.format(kind, self.width, self.height, title, title, Markup("").join(parts))

    def y_axis(self, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
        _, right, _, left = self.margins
        rows = [(float(self.y(value)), label) for value, label in ticks]
        lines = [LINE.format("grid", left, self.width - right, y, y) for y, _ in rows]
        return lines + [TEXT.format("end", left - 6, y + 4, label) for y, label in rows]

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> list[Markup]:
        _, right, _, left = self.margins
        axis = LINE.format("axis", left, self.width - right, self.base, self.base)
        places = [TEXT.format("mid", float(self.x(value)), self.base + 17, name) for value, name in ticks]
        return [axis, *places, TEXT.format("mid", (left + self.width - right) / 2, self.base + 36, label)]

    def y_title(self, text: str) -> Markup:
        """What the values are, above the axis."""
        return TEXT.format("", 2, 11, text)

    def diagonal(self) -> Markup:
        """Where x equals y, as far as both ranges go."""
        ends = [max(self.x_range[0], self.y_range[0]), min(self.x_range[1], self.y_range[1])]
        return self.path("line diagonal", ends, ends) if ends[0] < ends[1] else Markup("")

    def dots(self, kind: str, xs: ArrayLike, ys: ArrayLike) -> Markup:
        """One path of points; the stroke's round caps are what is seen."""
        pairs = zip(self.x(xs), self.y(ys), strict=True)
        return PATH.format(kind, "".join(f"M{x:.1f},{y:.1f}h0" for x, y in pairs if math.isfinite(x + y)))

    def path(self, kind: str, xs: ArrayLike, ys: ArrayLike) -> Markup:
        """A line that is interrupted where y is NaN."""
        steps, pen = [], "M"
        for x, y in zip(self.x(xs), self.y(ys), strict=True):
            if math.isfinite(y):
                # h0: a point between two gaps is drawn as a dot.
                steps.append(f"{pen}{x:.1f},{y:.1f}" + ("h0" if pen == "M" else ""))
            pen = "L" if math.isfinite(y) else "M"
        return PATH.format(kind, "".join(steps))


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_labels(values: Sequence[float]) -> list[tuple[float, str]]:
    return [(value, f"{value:,.6g}") for value in values]
