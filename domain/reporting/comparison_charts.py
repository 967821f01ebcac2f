"""Champions against the naive baseline over all segments, with two charts as inline SVG.

The charts draw aggregates, so their size does not depend on the fleet's. Colours are CSS classes of the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from domain.reporting.svg import BAR, Axes, FloatArray, tick_labels, ticks

__all__ = ["TIE_TOLERANCE", "Comparison", "compare_errors", "ecdf_chart", "ratio_chart"]

TIE_TOLERANCE = 0.025
"""Relative difference within which champion and baseline count as equal; half a bin of the ratio chart."""
_BINS = 41  # centred on 0, 0.05, ... 2.0; the last bin includes everything above
_CURVE_POINTS = 200


@dataclass(frozen=True)
class Comparison:
    """Errors of the segments for which both figures are known, float arrays of shape (n_segments,).

    ratio : champion / baseline, 1 where both are 0. missing : number of segments with an unknown figure.
    """

    champion: FloatArray
    baseline: FloatArray
    ratio: FloatArray
    missing: int

    @property
    def better(self) -> int:
        """Number of segments whose champion beats the baseline by more than `TIE_TOLERANCE`."""
        return int((self.ratio < 1 - TIE_TOLERANCE).sum())

    @property
    def worse(self) -> int:
        """Number of segments whose champion is worse than the baseline by more than `TIE_TOLERANCE`."""
        return int((self.ratio > 1 + TIE_TOLERANCE).sum())

    @property
    def equal(self) -> int:
        """Number of segments in between."""
        return len(self.ratio) - self.better - self.worse

    def quantiles(self, share: float) -> tuple[float, float, float]:
        """Lower quantiles of champion, baseline and ratio: observed values that `share` of segments do not exceed."""
        if not len(self.ratio):
            return (math.nan, math.nan, math.nan)
        parts = (self.champion, self.baseline, self.ratio)
        champion, baseline, ratio = (float(np.quantile(part, share, method="inverted_cdf")) for part in parts)
        return champion, baseline, ratio


def compare_errors(champion: Sequence[float | None], baseline: Sequence[float | None]) -> Comparison:
    """Pair the errors of all segments.

    Parameters
    ----------
    champion, baseline : one error per segment, in the same order; None and NaN mean unknown.
    """
    ours, naive = (np.array([math.nan if x is None else x for x in part], dtype=float) for part in (champion, baseline))
    known = np.isfinite(ours) & np.isfinite(naive)
    ours, naive = ours[known], naive[known]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((ours == 0) & (naive == 0), 1.0, ours / naive)
    return Comparison(ours, naive, ratio, int((~known).sum()))


def ecdf_chart(comparison: Comparison, metric: str) -> Markup:
    """Draw the share of segments (y) with an error of at most x; the axis ends at the 97th percentile."""
    pooled = np.concatenate([comparison.champion, comparison.baseline])
    edge = float(np.quantile(pooled, 0.97)) or 1.0
    axes = Axes(480, 300, (28, 14, 44, 58), (0.0, edge), (0.0, 1.0))
    parts = axes.y_axis([(share / 4, f"{25 * share} %") for share in range(5)])
    parts += axes.x_axis(tick_labels(ticks(0.0, edge, 5)), f"{metric} of a segment")
    parts.append(axes.y_title("share of segments"))
    for kind, values in (("line baseline", comparison.baseline), ("line champion", comparison.champion)):
        order = np.sort(values)
        shares = np.arange(1, len(order) + 1) / len(order)
        inside = int(np.searchsorted(order, edge, side="right"))
        points = np.unique(np.linspace(0, inside - 1, min(inside, _CURVE_POINTS)).astype(int))
        end = shares[inside - 1] if inside else 0.0
        parts.append(axes.path(kind, [0.0, *order[points], edge], [0.0, *shares[points], end]))
    return axes.svg("wide", f"Share of segments by {metric}: champion and baseline", parts)


def ratio_chart(comparison: Comparison) -> Markup:
    """Draw the histogram of champion / baseline: below 1 the champion is better; the last bar is open-ended."""
    place = np.clip(np.floor(np.minimum(comparison.ratio, 2.0) / (2 * TIE_TOLERANCE) + 0.5), 0, _BINS - 1).astype(int)
    counts = np.bincount(place, minlength=_BINS)
    axes = Axes(
        480, 300, (28, 14, 44, 58), (-TIE_TOLERANCE, 2 + TIE_TOLERANCE), (0.0, float(max(counts.max(), 1)) * 1.05)
    )
    parts = axes.y_axis(tick_labels([tick for tick in ticks(*axes.y_range, 4) if tick == int(tick)]))
    width = float(axes.x(2 * TIE_TOLERANCE) - axes.x(0.0)) - 1.0
    for index in np.flatnonzero(counts):
        centre, top = 2 * TIE_TOLERANCE * index, float(axes.y(counts[index]))
        kind = "same" if index == _BINS // 2 else "better" if index < _BINS // 2 else "worse"
        low, high = max(centre - TIE_TOLERANCE, 0.0), centre + TIE_TOLERANCE
        span = f"above {low:.3f}" if index == _BINS - 1 else f"{low:.3f} to {high:.3f}"
        left, height = float(axes.x(centre - TIE_TOLERANCE)) + 0.5, float(axes.y(0)) - top
        parts.append(BAR.format(kind, left, top, width, height, f"{span}: {counts[index]:,} segments"))
    places = [(0.0, "0"), (0.5, "0.5"), (1.0, "1"), (1.5, "1.5"), (2.0, "2+")]
    parts += axes.x_axis(places, "champion error ÷ baseline error")
    parts.append(axes.y_title("segments"))
    return axes.svg("wide", "Number of segments by champion error divided by baseline error", parts)
