"""Constants: one value for all rows of a segment."""

from collections.abc import Callable

import numpy as np

from domain.arrays import FloatArray
from domain.config.fleet import Fleet
from domain.config.training import CandidateConfig
from models.features.target_transform import to_scale
from models.onnx_graphs.builder import LinearMember
from models.training.base import RowFit

__all__ = ["Mean", "Median"]


class _Constant:
    """A statistic of the target as the prediction for every row."""

    def __init__(self, config: CandidateConfig, fleet: Fleet, statistic: Callable[[FloatArray], np.floating]) -> None:
        self._name, self._transform, self._statistic = config.name, fleet.target.transform, statistic

    def fit_rows(self, x: FloatArray, y: FloatArray) -> RowFit:
        value = float(self._statistic(y))
        scaled = float(to_scale(np.array([value]), self._transform)[0])
        constant = LinearMember(self._name, np.zeros(x.shape[1]), scaled, value, value)
        return RowFit(lambda rows: np.full(len(rows), value), lambda: constant)


class Mean(_Constant):
    """The mean of the target."""

    def __init__(self, config: CandidateConfig, fleet: Fleet) -> None:
        super().__init__(config, fleet, np.mean)


class Median(_Constant):
    """The median of the target."""

    def __init__(self, config: CandidateConfig, fleet: Fleet) -> None:
        super().__init__(config, fleet, np.median)
