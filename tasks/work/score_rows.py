"""Predict every requested row of a regression fleet."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from adapters.runtime import predict
from models.errors import ScoringError
from models.features import Contract
from models.levels import level_label
from models.panel import FloatArray
from models.partition import level_keys, runs_of
from models.records import Champion
from models.series import encode_covariates, lacking_columns
from models.tables import PREDICTIONS, key_column
from tasks.work.fallback import newest_outcomes, why_without_model
from tasks.work.forecast_rows import JOB_COLUMNS
from tasks.work.job import Job

__all__ = ["score_rows"]


def score_rows(
    job: Job, bucket: int, champions: Mapping[str, Champion], level_models: Mapping[str, Champion], requests: pa.Table
) -> pa.Table:
    """Prediction rows (without the job's columns), one for each requested row."""
    rows = requests.sort_by([("segment", "ascending"), ("input_id", "ascending"), ("row", "ascending")])
    starts, lengths = runs_of(rows["segment"])
    segments = rows["segment"].take(pa.array(starts)).to_pylist()
    chains = level_keys(segments, job.fleet)
    outcomes = newest_outcomes(job, bucket) if set(segments) - set(champions) else {}
    parts = []
    for number, segment in enumerate(segments):
        part = rows.slice(int(starts[number]), int(lengths[number]))
        told = [] if segment in champions else [why_without_model(outcomes.get(segment))]
        chain = [(champions[segment], "")] if segment in champions else []
        keys = (keys[number] for keys in chains.values())
        chain += [(level_models[key], level_label(key)) for key in keys if key in level_models]
        parts.append(_predict(job, part, iter(chain), told))
    empty = pa.schema([item for item in PREDICTIONS.file_schema if item.name not in JOB_COLUMNS])
    return pa.concat_tables(parts) if parts else empty.empty_table()


def _predict(job: Job, rows: pa.Table, chain: Iterator[tuple[Champion, str]], told: list[str]) -> pa.Table:
    """Predictions of the first model of the chain that gives any. told : why there is no model of its own."""
    n = rows.num_rows
    values: FloatArray | None = None
    lineage: dict[str, object] = {}
    for model, level in chain:
        values = _run(model, rows, level or "its own", told)
        if values is not None:
            lineage = {name: getattr(model, name) for name in ("candidate", "model_name", "model_version", "cutoff")}
            reason = f"no model of its own ({'; '.join(told)}); {level} model" if level else None
            lineage |= {"fallback_level": level, **_status(values, reason)}
            break
    if values is None:
        values = np.full((3, n), np.nan)
        lineage = {"status": "no_model", "reason": f"no model of its own ({'; '.join(told)}) and no level has one"}
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


def _run(model: Champion, rows: pa.Table, whose: str, told: list[str]) -> FloatArray | None:
    """Outputs [3, n] of a model; gaps get the means that it was trained with. None, and why, if it gives none."""
    contract = Contract.from_json(model.contract)
    if lacking := lacking_columns(rows, contract):
        told.append(f"{whose} model needs {', '.join(lacking)}, which the fleet file no longer has")
        return None
    x = encode_covariates(rows, contract)
    fills = [parameters["fill"] for parameters in json.loads(model.parameters).values()]
    x = np.where(np.isnan(x), np.array(fills[0]), x)
    try:
        scores = predict(model.onnx, x.astype(np.float32))
    except ScoringError as exc:
        told.append(f"{whose}: {exc}")
        return None
    values = np.stack([scores.prediction, scores.lower, scores.upper])
    return np.where(np.isfinite(scores.prediction), values, np.nan)
