"""The scale on which linear models and trees are fitted: the target's own unit, or log1p of it."""

import numpy as np

from domain.arrays import FloatArray

__all__ = ["from_scale", "to_scale"]


def to_scale(values: FloatArray, transform: str) -> FloatArray:
    """Values on the fitting scale; log1p treats negative values as 0."""
    return np.log1p(np.maximum(values, 0.0)) if transform == "log1p" else values


def from_scale(values: FloatArray, transform: str) -> FloatArray:
    """Values in the target's own unit; the exponent is capped to avoid overflow."""
    return np.expm1(np.minimum(values, 80.0)) if transform == "log1p" else values
