"""Models of series whose level is many times their swing: they compute with distances from a centre.

Graphs compute in float32, which has seven digits: of 100,000,012.34 it keeps 100,000,012, or 100,000,016. A model of
such a series gets features relative to a centre near its values, and its predictions are relative to it as well; both
shifts are made in float64. Graphs need no other form for that: linear models and trees predict differences from an
anchor, and the states of smoothing methods are put together before the shift.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.feature_spec import STATES, FeatureSpec
from models.features.panel import Panel

__all__ = ["CENTRE", "centre_of", "centred_features", "centres", "needs_centre"]

CENTRE = ""
"""Key of the centre among a model's parameters by candidate; no candidate has an empty name."""

_LARGE = 1_000.0
"""Level over swing above which float32 keeps too few digits of the swing."""
_EXACT = 2.0**24
"""Whole numbers up to here are exact in float32."""


def needs_centre(panel: Panel, spec: FeatureSpec) -> BoolArray:
    """Mask [S] of the series to centre."""
    if spec.transform != "none":
        return np.zeros(len(panel.lengths), dtype=bool)
    known = np.isfinite(panel.values)
    low = np.where(known, panel.values, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, panel.values, -np.inf).max(axis=1, initial=-np.inf)
    level, swing = np.maximum(np.abs(low), np.abs(high)), high - low
    needed: BoolArray = np.isfinite(level) & np.where(swing > 0, level > _LARGE * swing, level > _EXACT)
    return needed


def centres(panel: Panel) -> FloatArray:
    """A whole number near the middle of each series, [S]."""
    values: FloatArray = np.rint(np.nanmedian(panel.values, axis=1))
    return values


def centre_of(parameters: Mapping[str, Mapping[str, object]]) -> float:
    """The centre among a model's parameters; 0 without one."""
    return float(str(parameters.get(CENTRE, {}).get("centre", 0.0)))


def centred_features(features: FloatArray, spec: FeatureSpec, centre: Sequence[float] | FloatArray) -> FloatArray:
    """Features [S, H, k] with all that has the target's unit relative to a centre [S]."""
    shift = np.asarray(centre, dtype=np.float64)[:, None]
    result = features.copy()
    result[..., list(spec.design.values)] -= shift[..., None]
    for name in spec.states:
        level, trend, multiplier, addend = (spec.column(f"{name}.{state}") for state in STATES)
        # (level + growth * trend) * multiplier + addend, without large numbers that cancel each other.
        result[..., level] = result[..., level] * result[..., multiplier] + result[..., addend] - shift
        result[..., trend] *= result[..., multiplier]
        result[..., multiplier], result[..., addend] = 1.0, 0.0
    return result
