"""Forecasts of stored models at the end of given series: features from the contract, then each segment's graph."""

from collections.abc import Sequence

import numpy as np

from adapters.runtime import Scores, predict_each
from domain.arrays import FloatArray
from domain.data.model_record import ModelRecord
from domain.errors import ScoringError
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import features_at_end
from models.features.series import Series

__all__ = ["forecast_each", "forecast_models"]


def forecast_models(series: Series, models: Sequence[ModelRecord], future: FloatArray) -> list[Scores]:
    """Forecast every segment of `series` with its model, one for one; each result has H values.

    future : covariates of the periods after the series, [S, H, K]. Raises ScoringError if a model cannot be run.
    """
    found = _by_contract(series, models, future)
    for one in found:
        if isinstance(one, ScoringError):
            raise one
    return [one for one in found if isinstance(one, Scores)]


def forecast_each(series: Series, models: Sequence[ModelRecord], future: FloatArray) -> list[Scores | str]:
    """As `forecast_models`, but a model that cannot be run or gives no finite number is told instead of raised."""
    return [_told(one) for one in _by_contract(series, models, future)]


def _told(found: Scores | ScoringError) -> Scores | str:
    if isinstance(found, ScoringError):
        return str(found)
    return found if np.isfinite(found.prediction).all() else "the model gives no finite number for the rows there are"


def _by_contract(series: Series, models: Sequence[ModelRecord], future: FloatArray) -> list[Scores | ScoringError]:
    by_contract: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        by_contract.setdefault(model.contract, []).append(index)
    results: dict[int, Scores | ScoringError] = {}
    for text, indices in by_contract.items():
        part = [models[index] for index in indices]
        whole = len(indices) == len(models)
        own, ahead = (series, future) if whole else (series.take(indices), future[indices])
        results.update(zip(indices, _same_contract(own, part, ahead, FeatureSpec.from_json(text)), strict=True))
    return [results[index] for index in range(len(models))]


def _same_contract(
    series: Series, models: Sequence[ModelRecord], future: FloatArray, contract: FeatureSpec
) -> list[Scores | ScoringError]:
    features = features_at_end(series, [model.parameters for model in models], future, contract)
    return predict_each([model.onnx for model in models], list(features), contract)
