"""Building blocks of the charts: axes, ticks and a few SVG elements.

All markup is built with `Markup.format`, which escapes its arguments: no segment name can break out of its element.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

__all__ = ["BAR", "LINE", "TEXT", "Axes", "FloatArray", "tick_labels", "ticks"]

FloatArray = NDArray[np.float64]

SVG = Markup('<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>')
LINE = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
TEXT = Markup('<text class="tick {}" x="{:.1f}" y="{:.1f}">{}</text>')
PATH = Markup('<path class="{}" d="{}"/>')
BAR = Markup('<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
HIT_AREA = Markup('<rect class="hit" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>')
"""Invisible area that shows a tooltip."""


@dataclass(frozen=True)
class Axes:
    """Pixel box of a chart and its data ranges. margins : top, right, bottom, left, in pixels."""

    width: int
    height: int
    margins: tuple[int, int, int, int]
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, values: ArrayLike) -> FloatArray:
        """Map data values to horizontal pixel positions."""
        low, high = self.x_range
        _, right, _, left = self.margins
        share = (np.asarray(values, dtype=np.float64) - low) / ((high - low) or 1.0)
        return np.asarray(left + share * (self.width - left - right))

    def y(self, values: ArrayLike) -> FloatArray:
        """Map data values, clipped to the range, to vertical pixel positions."""
        low, high = self.y_range
        top, _, bottom, _ = self.margins
        share = (np.clip(np.asarray(values, dtype=np.float64), low, high) - low) / ((high - low) or 1.0)
        return np.asarray(self.height - bottom - share * (self.height - top - bottom))

    @property
    def base(self) -> int:
        """Vertical pixel position of the x axis."""
        return self.height - self.margins[2]

    def svg(self, kind: str, title: str, parts: Sequence[Markup]) -> Markup:
        """Assemble the chart. kind : CSS class. title : description for screen readers."""
        return SVG.format(kind, self.width, self.height, title, title, Markup("").join(parts))

    def y_axis(self, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
        """Draw grid lines and tick labels for (value, label) pairs."""
        _, right, _, left = self.margins
        rows = [(float(self.y(value)), label) for value, label in ticks]
        lines = [LINE.format("grid", left, self.width - right, y, y) for y, _ in rows]
        return lines + [TEXT.format("end", left - 6, y + 4, label) for y, label in rows]

    def x_axis(self, ticks: Sequence[tuple[float, str]], label: str) -> list[Markup]:
        """Draw the axis with its label and the tick labels for (value, label) pairs."""
        _, right, _, left = self.margins
        axis = LINE.format("axis", left, self.width - right, self.base, self.base)
        places = [TEXT.format("mid", float(self.x(value)), self.base + 17, name) for value, name in ticks]
        return [axis, *places, TEXT.format("mid", (left + self.width - right) / 2, self.base + 36, label)]

    def y_title(self, text: str) -> Markup:
        """Draw the title of the y axis above it."""
        return TEXT.format("", 2, 11, text)

    def diagonal(self) -> Markup:
        """Draw the line x = y within both ranges."""
        ends = [max(self.x_range[0], self.y_range[0]), min(self.x_range[1], self.y_range[1])]
        return self.path("line diagonal", ends, ends) if ends[0] < ends[1] else Markup("")

    def dots(self, kind: str, xs: ArrayLike, ys: ArrayLike) -> Markup:
        """Draw points as one path of zero-length strokes, which round line caps make visible."""
        pairs = zip(self.x(xs), self.y(ys), strict=True)
        return PATH.format(kind, "".join(f"M{x:.1f},{y:.1f}h0" for x, y in pairs if math.isfinite(x + y)))

    def path(self, kind: str, xs: ArrayLike, ys: ArrayLike) -> Markup:
        """Draw a line, interrupted where y is NaN."""
        steps, pen = [], "M"
        for x, y in zip(self.x(xs), self.y(ys), strict=True):
            if math.isfinite(y):
                # h0: an isolated point is drawn as a dot.
                steps.append(f"{pen}{x:.1f},{y:.1f}" + ("h0" if pen == "M" else ""))
            pen = "L" if math.isfinite(y) else "M"
        return PATH.format(kind, "".join(steps))

    def tooltips(self, places: ArrayLike, width: float, texts: Iterable[str]) -> Iterator[Markup]:
        """Draw an invisible column with a tooltip at each horizontal pixel position. width : in pixels."""
        top = self.margins[0]
        for place, text in zip(np.asarray(places), texts, strict=True):
            yield HIT_AREA.format(float(place) - width / 2, top, width, self.base - top, text)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Choose about that many round values within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_labels(values: Sequence[float]) -> list[tuple[float, str]]:
    """Pair each value with its label."""
    return [(value, f"{value:,.6g}") for value in values]
