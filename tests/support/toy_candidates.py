"""Candidates that no fleet has; each is one class here and one entry in the registry of a test."""

import numpy as np

from models.features.target_transform import to_scale
from models.onnx_graphs.builder import LinearMember
from models.smoothing.base import damped_growth, plain_state
from models.training.base import Fitted, RowFit


class Drift:
    """The line through the first and the last value."""

    def fit(self, panel, horizon):
        return {"damping": np.ones(len(panel.lengths))}

    def states(self, panel, parameters):
        first = panel.values[np.arange(len(panel.lengths)), panel.values.shape[1] - np.maximum(panel.lengths, 1)]
        slope = (panel.values[:, -1] - first) / np.maximum(panel.lengths - 1, 1)
        return plain_state(panel.values[:, -1], slope, np.ones((len(panel.lengths), panel.season)))

    def growth(self, parameters, horizon):
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel):
        return panel.lengths >= 2


class Midrange:
    """Half of the sum of the least and the largest target, for every task."""

    needs_rows = False

    def __init__(self, config, fleet):
        self._name, self._transform = config.name, fleet.target.transform

    def fit(self, cutoffs):
        return [self._fit(cutoff) for cutoff in cutoffs]

    def _fit(self, cutoff):
        middle = (np.nanmin(cutoff.panel.values, axis=1) + np.nanmax(cutoff.panel.values, axis=1)) / 2
        width = cutoff.spec.design.width
        return Fitted(
            np.repeat(middle[:, None], cutoff.horizon, axis=1),
            lambda s: self._constant(middle[s], width),
            lambda s: {"middle": float(middle[s])},
        )

    def fit_rows(self, x, y):
        middle = (y.min() + y.max()) / 2
        return RowFit(lambda rows: np.full(len(rows), middle), lambda: self._constant(middle, x.shape[1]))

    def _constant(self, value, width):
        scaled = float(to_scale(np.array([value]), self._transform)[0])
        return LinearMember(self._name, np.zeros(width), scaled, float(value), float(value))
