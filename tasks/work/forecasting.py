"""Forecasts of stored models at the end of given series: features from the contract, then each segment's graph."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from adapters.runtime import Scores, predict
from models.features import Contract
from models.panel import FloatArray
from models.series import Series
from models.train import SegmentParameters
from models.train_forecast import forecast_features

__all__ = ["ModelRow", "contract_of_rows", "forecast_models"]

ModelRow = Mapping[str, object]
"""A row of the challengers or champions table."""


def contract_of_rows(rows: Sequence[ModelRow]) -> Contract:
    """The contract that the models of one release share."""
    return Contract.from_json(str(rows[0]["contract"]))


def forecast_models(series: Series, models: Sequence[ModelRow], future: FloatArray) -> list[Scores]:
    """Forecast every segment of `series` with its model, one for one; each result has H values.

    future : covariates of the periods after the series, [S, H, K].
    """
    found: list[Scores] = []
    by_contract: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        by_contract.setdefault(str(model["contract"]), []).append(index)
    results: dict[int, Scores] = {}
    for indices in by_contract.values():
        results.update(_same_contract(series, models, future, indices))
    found = [results[index] for index in range(len(models))]
    return found


def _same_contract(
    series: Series, models: Sequence[ModelRow], future: FloatArray, indices: Sequence[int]
) -> dict[int, Scores]:
    contract = contract_of_rows([models[indices[0]]])
    part = series.take(indices)
    parsed: list[dict[str, SegmentParameters]] = [json.loads(str(models[index]["parameters"])) for index in indices]
    parameters = {name: [of_segment.get(name, {}) for of_segment in parsed] for name in contract.states}
    covariates = np.concatenate([part.covariates, future[list(indices)]], axis=1)
    features = forecast_features(part.panel, np.nan_to_num(covariates), contract, parameters).astype(np.float32)
    return {
        index: predict(bytes(models[index]["onnx"]), features[position])  # type: ignore[arg-type]
        for position, index in enumerate(indices)
    }
