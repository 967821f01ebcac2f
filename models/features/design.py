"""The columns that linear models and trees see, made from base features."""

import numpy as np

from domain.arrays import FloatArray
from models.features.feature_spec import Design
from models.features.target_transform import to_scale

__all__ = ["design_matrix"]


def design_matrix(base: FloatArray, design: Design, transform: str) -> tuple[FloatArray, FloatArray]:
    """The columns that linear models and trees use, with values and predictions relative to an anchor.

    Parameters
    ----------
    base : base features [..., k].
    transform : of the target, for values and anchor.

    Returns
    -------
    Columns [..., d] and the anchor [...], both on the fitting scale.
    """
    others = base[..., list(design.others)]
    if design.anchor is None:
        return others, np.zeros(base.shape[:-1])
    anchor = to_scale(base[..., design.anchor], transform)
    values = to_scale(base[..., list(design.values)], transform) - anchor[..., None]
    return np.concatenate([values, others], axis=-1), anchor
