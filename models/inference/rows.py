"""Predict the rows of a regression fleet, segment by segment."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from domain.arrays import Float32Array
from domain.config.fleet import Fleet
from domain.data.fallback_levels import fallback_level_of
from domain.data.model_record import Champion
from domain.data.partitioning import fallback_keys
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.features.series import lacking_columns, row_covariates
from models.inference.fallback import reason_without_model
from models.inference.loaded_models import Champions, LoadedModels
from models.inference.row_notes import row_notes
from models.onnx_graphs.runtime import Predictions

__all__ = ["RowPredictions", "predict_rows"]

_Attempt: TypeAlias = tuple[Champion, str, FeatureSpec, Predictions | Failure]
"""A model, its fallback level (empty for the segment's own), its contract, and its predictions or their failure."""


@dataclass(frozen=True)
class RowPredictions:
    """The predictions of one segment's rows, and what made them.

    predictions : [n] each, NaN in rows that have no finite prediction. fallback_level : empty for the segment's own
    champion. reason : why another model predicted them; None for its own champion. notes : on single rows, [n].
    """

    predictions: Predictions
    model: Champion
    fallback_level: str
    reason: str | None
    notes: Sequence[str]


def predict_rows(
    champions: Champions,
    rows: Mapping[str, pa.Table],
    fleet: Fleet,
    outcomes: Callable[[], Mapping[str, tuple[str, str]]],
) -> dict[str, RowPredictions | Failure]:
    """Predict rows with each segment's own champion, else with the model of the first level that gives an answer.

    Parameters
    ----------
    champions : models of a release. Keep them between calls: their sessions are reused.
    rows : segment -> rows with the columns of the features.
    outcomes : called only if a segment has no champion; outcome and reason of each segment's newest training.

    Returns
    -------
    Predictions per segment; a Failure where no model has an answer, which says what was tried.
    """
    owned = {segment: part for segment, part in rows.items() if segment in champions.segments}
    own = _answers(champions.segments, owned, "its own")
    known = outcomes() if len(own) < len(rows) else {}
    levels = fallback_keys(list(rows), fleet)
    results: dict[str, RowPredictions | Failure] = {}
    for number, (segment, part) in enumerate(rows.items()):
        attempts = _level_attempts(champions.levels, [keys[number] for keys in levels.values()], part)
        if segment in own:
            first = champions.segments[segment], "", champions.segments.contract(segment), own[segment]
            results[segment] = _first_answer(chain([first], attempts), [], part, fleet)
        else:
            results[segment] = _first_answer(attempts, [reason_without_model(known.get(segment))], part, fleet)
    return results


def _level_attempts(models: LoadedModels[Champion], keys: Sequence[str], rows: pa.Table) -> Iterator[_Attempt]:
    """Levels one after another; the next one runs only where it is needed."""
    for key in keys:
        if key in models:
            label = fallback_level_of(key)
            yield models[key], label, models.contract(key), _answers(models, {key: rows}, label)[key]


def _first_answer(
    attempts: Iterable[_Attempt], reasons: list[str], rows: pa.Table, fleet: Fleet
) -> RowPredictions | Failure:
    """The first attempt with predictions. reasons : why there is no model before."""
    for model, level, contract, result in attempts:
        if isinstance(result, Predictions):
            reason = f"no model of its own ({'; '.join(reasons)}); {level} model" if level else None
            return RowPredictions(result, model, level, reason, row_notes(rows, contract, fleet.features.max_levels))
        reasons.append(result.reason)
    return Failure(f"no model of its own ({'; '.join(reasons)}) and no level has one")


def _answers(
    models: LoadedModels[Champion], rows: Mapping[str, pa.Table], owner: str
) -> dict[str, Predictions | Failure]:
    """Predictions of models for rows of their own, by key. owner : what to call the models in a reason."""
    results: dict[str, Predictions | Failure] = {}
    features: dict[str, Float32Array] = {}
    for key, part in rows.items():
        if lacking := lacking_columns(part, models.contract(key)):
            reason = f"{owner} model needs {', '.join(lacking)}, which the fleet file no longer has"
            results[key] = Failure(reason)
        else:
            features[key] = _features(models, key, part)
    outputs = models.run(list(features), list(features.values()))
    for key, result in zip(features, outputs, strict=True):
        results[key] = Failure(f"{owner}: {result.reason}") if isinstance(result, Failure) else _finite(result)
    return results


def _features(models: LoadedModels[Champion], key: str, rows: pa.Table) -> Float32Array:
    """Features [n, k] of rows; gaps get the means that the model was trained with."""
    x = row_covariates(rows, models.contract(key))
    fills = [parameters["fill"] for parameters in json.loads(models[key].parameters).values()]
    filled: Float32Array = np.where(np.isnan(x), np.array(fills[0]), x).astype(np.float32)
    return filled


def _finite(outputs: Predictions) -> Predictions:
    """Outputs, NaN in rows that have no finite prediction."""
    finite = np.isfinite(outputs.prediction)
    parts = (outputs.prediction, outputs.lower, outputs.upper)
    return Predictions(*(np.where(finite, part, np.nan) for part in parts))
