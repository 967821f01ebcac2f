"""Trainers: how the segments of a bucket are trained, by task type."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from domain.config.fleet import Fleet
from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings
from domain.data.partitioning import run_length_encode
from models.features.feature_spec import FeatureSpec
from models.features.series import build_series, row_covariates
from models.training.forecast import train_forecast
from models.training.regression import Tabular, train_regression
from models.training.trained import TrainedSegment

__all__ = ["TRAINERS", "Trainer", "tabular_of"]


class Trainer(Protocol):
    """Trains every segment of some rows."""

    def __call__(self, rows: pa.Table, fleet: Fleet, spec: FeatureSpec, winner: str = "") -> Sequence[TrainedSegment]:
        """Train on observations sorted by segment; winner : a candidate to refit without a choice."""


def tabular_of(rows: pa.Table, spec: FeatureSpec) -> Tabular:
    """Observations (sorted by segment) as regression rows; excluded ones are left out."""
    rows = rows.filter(pc.invert(rows["excluded"]))
    starts, lengths = run_length_encode(rows["segment"])
    names = rows["segment"].take(pa.array(starts)).to_pylist()
    return Tabular(tuple(names), row_covariates(rows, spec), rows["target"].to_numpy(), starts, lengths)


def _forecast(rows: pa.Table, fleet: Fleet, spec: FeatureSpec, winner: str = "") -> Sequence[TrainedSegment]:
    return train_forecast(build_series(rows, spec, fleet.clock), fleet, spec, winner)


def _regression(rows: pa.Table, fleet: Fleet, spec: FeatureSpec, winner: str = "") -> Sequence[TrainedSegment]:
    return train_regression(tabular_of(rows, spec), fleet, spec, winner)


TRAINERS = TaskBindings[Trainer]("trainer", {ForecastTask.name: _forecast, RegressionTask.name: _regression})
