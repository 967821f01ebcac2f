"""Forecasts of stored models at the end of given series: features from the contract, then each segment's graph."""

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from adapters.runtime import Scores, predict
from models.errors import ScoringError
from models.features import Contract
from models.panel import FloatArray
from models.records import ModelRecord
from models.series import Series
from models.train import SegmentParameters
from models.train_forecast import forecast_features

__all__ = ["forecast_each", "forecast_models"]

R = TypeVar("R")
Float32Array = npt.NDArray[np.float32]


def forecast_models(series: Series, models: Sequence[ModelRecord], future: FloatArray) -> list[Scores]:
    """Forecast every segment of `series` with its model, one for one; each result has H values.

    future : covariates of the periods after the series, [S, H, K]. Raises ScoringError if a model cannot be run.
    """
    return _by_contract(series, models, future, predict)


def forecast_each(series: Series, models: Sequence[ModelRecord], future: FloatArray) -> list[Scores | str]:
    """As `forecast_models`, but a model that cannot be run or gives no finite number is told instead of raised."""
    return _by_contract(series, models, future, _try)


def _try(graph: bytes, features: Float32Array) -> Scores | str:
    try:
        scores = predict(graph, features)
    except ScoringError as exc:
        return str(exc)
    return scores if np.isfinite(scores.prediction).all() else "the model gives no finite number for the rows there are"


def _by_contract(
    series: Series, models: Sequence[ModelRecord], future: FloatArray, run: Callable[[bytes, Float32Array], R]
) -> list[R]:
    by_contract: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        by_contract.setdefault(model.contract, []).append(index)
    results: dict[int, R] = {}
    for text, indices in by_contract.items():
        part = [models[index] for index in indices]
        scores = _same_contract(series.take(indices), part, future[indices], Contract.from_json(text), run)
        results.update(zip(indices, scores, strict=True))
    return [results[index] for index in range(len(models))]


def _same_contract(
    series: Series,
    models: Sequence[ModelRecord],
    future: FloatArray,
    contract: Contract,
    run: Callable[[bytes, Float32Array], R],
) -> list[R]:
    parsed: list[dict[str, SegmentParameters]] = [json.loads(model.parameters) for model in models]
    parameters = {name: [of_segment.get(name, {}) for of_segment in parsed] for name in contract.states}
    covariates = np.concatenate([series.covariates, future], axis=1)
    features = forecast_features(series.panel, np.nan_to_num(covariates), contract, parameters).astype(np.float32)
    return [run(model.onnx, of_segment) for model, of_segment in zip(models, features, strict=True)]
