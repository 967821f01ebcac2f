"""A smoothing method as a candidate of forecast fleets."""

from collections.abc import Sequence

import numpy as np

from domain.arrays import FloatArray
from models.features.forecast_features import SegmentParameters
from models.features.panel import Panel
from models.features.training_rows import Cutoff
from models.onnx_graphs.builder import SmoothingMember
from models.smoothing.base import Parameters, SmoothingMethod, forecast
from models.training.base import Fitted

__all__ = ["SmoothingCandidate"]


class SmoothingCandidate:
    """A smoothing method; its states are features under the name of the candidate."""

    needs_rows = False

    def __init__(self, name: str, method: SmoothingMethod) -> None:
        self._name, self._method = name, method

    def fit(self, cutoffs: Sequence[Cutoff]) -> list[Fitted]:
        # All cutoffs at once: for the small arrays of one cutoff, calls would cost more than arithmetic.
        panel, horizon = Panel.join([cutoff.panel for cutoff in cutoffs]), cutoffs[0].horizon
        parameters = {name: _rounded(array) for name, array in self._method.fit(panel, horizon).items()}
        growth = self._method.growth(parameters, horizon)
        values = forecast(self._method, panel, parameters, horizon)
        applies = self._method.applicable(panel) & (panel.lengths > 0) & np.isfinite(values).all(axis=1)
        values = np.where(applies[:, None], values, np.nan)
        step = len(panel.lengths) // len(cutoffs)
        return [self._fitted(values, growth, parameters, n * step, step) for n in range(len(cutoffs))]

    def _fitted(self, values: FloatArray, growth: FloatArray, parameters: Parameters, start: int, step: int) -> Fitted:
        return Fitted(
            values[start : start + step],
            lambda s: SmoothingMember(self._name, growth[start + s]),
            lambda s: _of_segment(parameters, start + s),
        )


def _rounded(values: FloatArray) -> FloatArray:
    """Values to nine digits; further digits depend on the other segments of the batch."""
    finite = np.isfinite(values) & (values != 0.0)
    unit = 10.0 ** (8.0 - np.floor(np.log10(np.abs(np.where(finite, values, 1.0)))))
    rounded: FloatArray = np.where(finite, np.round(values * unit) / unit, values)
    return np.where(np.isfinite(rounded), rounded, values)


def _of_segment(parameters: Parameters, segment: int) -> SegmentParameters:
    return {name: np.asarray(array[segment], dtype=float).tolist() for name, array in parameters.items()}
