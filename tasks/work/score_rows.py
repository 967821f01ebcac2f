"""Predict every requested row of a regression fleet."""

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from adapters.runtime import predict
from models.features import Contract
from models.levels import level_label
from models.panel import FloatArray
from models.partition import level_keys, runs_of
from models.records import Champion
from models.series import encode_covariates
from models.tables import PREDICTIONS, key_column
from tasks.work.job import Job

__all__ = ["score_rows"]


def score_rows(
    job: Job, champions: Mapping[str, Champion], level_models: Mapping[str, Champion], requests: pa.Table
) -> pa.Table:
    """Prediction rows (without the job's columns), one for each requested row."""
    rows = requests.sort_by([("segment", "ascending"), ("input_id", "ascending"), ("row", "ascending")])
    starts, lengths = runs_of(rows["segment"])
    segments = rows["segment"].take(pa.array(starts)).to_pylist()
    chains = level_keys(segments, job.fleet)
    parts = []
    for number, segment in enumerate(segments):
        part = rows.slice(int(starts[number]), int(lengths[number]))
        model, level = champions.get(segment), ""
        if model is None:
            keys = (keys[number] for keys in chains.values())
            key = next((key for key in keys if key in level_models), None)
            model, level = (level_models[key], level_label(key)) if key else (None, "")
        parts.append(_predict(job, part, model, level))
    empty = pa.schema([item for item in PREDICTIONS.file_schema if item.name not in ("release", "job_id", "scored_at")])
    return pa.concat_tables(parts) if parts else empty.empty_table()


def _predict(job: Job, rows: pa.Table, model: Champion | None, level: str) -> pa.Table:
    n = rows.num_rows
    values = np.full((3, n), np.nan)
    lineage: dict[str, object] = {"status": "no_model", "reason": "the segment is unknown and no level has a model"}
    if model is not None:
        values = _run(model, rows)
        lineage = {name: getattr(model, name) for name in ("candidate", "model_name", "model_version")}
        lineage |= {
            "status": "ok",
            "fallback_level": level,
            "reason": f"no model of its own; {level} model" if level else None,
        }
    keys = [rows[key_column(name)].to_pylist() for name in job.fleet.row_key]
    columns: dict[str, object] = {
        "segment": rows["segment"],
        "time": rows["time"],
        "prediction": pa.array(values[0], from_pandas=True),
        "lower": pa.array(values[1], from_pandas=True),
        "upper": pa.array(values[2], from_pandas=True),
        "input_id": rows["input_id"],
        "row": rows["row"],
        "row_key": [json.dumps(dict(zip(job.fleet.row_key, key, strict=True))) for key in zip(*keys, strict=True)]
        if keys
        else [None] * n,
    }
    found = {}
    for item in PREDICTIONS.file_schema:
        if item.name in ("release", "job_id", "scored_at"):
            continue
        value = columns.get(item.name, [lineage.get(item.name)] * n)
        found[item.name] = (
            value.cast(item.type) if isinstance(value, (pa.Array, pa.ChunkedArray)) else pa.array(value, item.type)
        )
    return pa.table(found)


def _run(model: Champion, rows: pa.Table) -> FloatArray:
    """Outputs [3, n] of a model; gaps get the means that it was trained with."""
    contract = Contract.from_json(model.contract)
    x = encode_covariates(rows, contract)
    fills = [parameters["fill"] for parameters in json.loads(model.parameters).values()]
    x = np.where(np.isnan(x), np.array(fills[0]), x)
    scores = predict(model.onnx, x.astype(np.float32))
    return np.stack([scores.prediction, scores.lower, scores.upper])
