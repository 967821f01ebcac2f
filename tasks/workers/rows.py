"""Predict every requested row of a regression fleet."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from adapters.runtime import Scores, predict_each
from domain.arrays import Float32Array, FloatArray
from domain.data.fallback_levels import fallback_level_of
from domain.data.model_record import Champion
from domain.data.partitioning import fallback_keys, run_length_encode
from domain.data.tables import PREDICTIONS, key_column
from domain.errors import ScoringError
from models.features.feature_spec import FeatureSpec
from models.features.series import encode_covariates, lacking_columns
from tasks.workers.fallback import newest_outcomes, why_without_model
from tasks.workers.prediction_rows import JOB_COLUMNS
from tasks.workers.run_context import RunContext

__all__ = ["score_rows"]

_Attempt: TypeAlias = tuple[Champion, str, FloatArray | str]
"""A model, its fallback level ('' for the segment's own), and its outputs, or why there are none."""


def score_rows(
    context: RunContext,
    bucket: int,
    champions: Mapping[str, Champion],
    level_models: Mapping[str, Champion],
    requests: pa.Table,
) -> pa.Table:
    """Prediction rows (without the job's columns), one for each requested row."""
    rows = requests.sort_by([("segment", "ascending"), ("input_id", "ascending"), ("row", "ascending")])
    starts, lengths = run_length_encode(rows["segment"])
    segments = rows["segment"].take(pa.array(starts)).to_pylist()
    by_segment = {
        segment: rows.slice(int(start), int(length))
        for segment, start, length in zip(segments, starts, lengths, strict=True)
    }
    chains = fallback_keys(segments, context.fleet)
    outcomes = newest_outcomes(context, bucket) if set(segments) - set(champions) else {}
    own = _run_each([(champions[segment], by_segment[segment]) for segment in segments if segment in champions])
    parts = []
    for number, (segment, part) in enumerate(by_segment.items()):
        keys = (keys[number] for keys in chains.values())
        further = [(level_models[key], fallback_level_of(key)) for key in keys if key in level_models]
        if segment in champions:
            tried = chain([(champions[segment], "", own[segment])], _attempts(further, part))
            told: list[str] = []
        else:
            tried, told = chain(_attempts(further, part)), [why_without_model(outcomes.get(segment))]
        parts.append(_predict(context, part, tried, told))
    empty = pa.schema([item for item in PREDICTIONS.file_schema if item.name not in JOB_COLUMNS])
    return pa.concat_tables(parts) if parts else empty.empty_table()


def _attempts(models: Iterable[tuple[Champion, str]], rows: pa.Table) -> Iterator[_Attempt]:
    """Levels one after another; the next one is run only where it is needed."""
    for model, level in models:
        (result,) = _run_each([(model, rows)]).values()
        yield model, level, result


def _predict(context: RunContext, rows: pa.Table, tried: Iterable[_Attempt], told: list[str]) -> pa.Table:
    """Predictions of the first model that gives any. told : why there is no model of its own."""
    n = rows.num_rows
    values: FloatArray | None = None
    lineage: dict[str, object] = {}
    for model, level, result in tried:
        if isinstance(result, str):
            told.append(f"{level or 'its own'}{result}")
        else:
            values = result
            lineage = {name: getattr(model, name) for name in ("candidate", "model_name", "model_version", "cutoff")}
            reason = f"no model of its own ({'; '.join(told)}); {level} model" if level else None
            lineage |= {"fallback_level": level, **_status(values, reason)}
            break
    if values is None:
        values = np.full((3, n), np.nan)
        lineage = {"status": "no_model", "reason": f"no model of its own ({'; '.join(told)}) and no level has one"}
    keys = [rows[key_column(name)].to_pylist() for name in context.fleet.row_key]
    columns: dict[str, object] = {
        "segment": rows["segment"],
        "time": rows["time"],
        "prediction": pa.array(values[0], from_pandas=True),
        "lower": pa.array(values[1], from_pandas=True),
        "upper": pa.array(values[2], from_pandas=True),
        "input_id": rows["input_id"],
        "row": rows["row"],
        "row_key": [json.dumps(dict(zip(context.fleet.row_key, key, strict=True))) for key in zip(*keys, strict=True)]
        if keys
        else [None] * n,
    }
    found = {}
    for item in PREDICTIONS.file_schema:
        if item.name in JOB_COLUMNS:
            continue
        value = columns.get(item.name, lineage.get(item.name))
        value = value if isinstance(value, (list, pa.Array, pa.ChunkedArray)) else [value] * n
        found[item.name] = (
            value.cast(item.type) if isinstance(value, (pa.Array, pa.ChunkedArray)) else pa.array(value, item.type)
        )
    return pa.table(found)


def _status(values: FloatArray, reason: str | None) -> dict[str, list[str | None]]:
    """Status and reason of each row: a value so large that it has no finite answer does not harm the other rows."""
    finite = np.isfinite(values[0]).tolist()
    failed = "; ".join(filter(None, [reason, "the model gives no finite number for this row"]))
    return {
        "status": ["ok" if good else "no_model" for good in finite],
        "reason": [reason if good else failed for good in finite],
    }


def _run_each(pairs: Sequence[tuple[Champion, pa.Table]]) -> dict[str, FloatArray | str]:
    """Outputs [3, n] of each model for its rows, by segment or level; or why there are none, as the end of a sentence.

    Gaps get the means that a model was trained with.
    """
    results: dict[str, FloatArray | str] = {}
    by_contract: dict[str, list[tuple[Champion, Float32Array]]] = {}
    for model, rows in pairs:
        contract = FeatureSpec.from_json(model.contract)
        if lacking := lacking_columns(rows, contract):
            results[model.segment] = f" model needs {', '.join(lacking)}, which the fleet file no longer has"
            continue
        x = encode_covariates(rows, contract)
        fills = [parameters["fill"] for parameters in json.loads(model.parameters).values()]
        filled: Float32Array = np.where(np.isnan(x), np.array(fills[0]), x).astype(np.float32)
        by_contract.setdefault(model.contract, []).append((model, filled))
    for text, runs in by_contract.items():
        scores = predict_each([model.onnx for model, _ in runs], [x for _, x in runs], FeatureSpec.from_json(text))
        for (model, _), found in zip(runs, scores, strict=True):
            results[model.segment] = f": {found}" if isinstance(found, ScoringError) else _finite(found)
    return results


def _finite(scores: Scores) -> FloatArray:
    """Outputs [3, n], NaN in rows that have no finite prediction."""
    values = np.stack([scores.prediction, scores.lower, scores.upper])
    return np.where(np.isfinite(scores.prediction), values, np.nan)
