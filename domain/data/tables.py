"""Schemas of the tables in the lake. Times are UTC instants; dates are midnight UTC.

Every table is written by replacing whole partitions, so that a retry never duplicates a row. `docs/tables.md`
explains the columns.
"""

from dataclasses import dataclass

import pyarrow as pa

from domain.config.fleet import Fleet

__all__ = [
    "ACCURACY",
    "CHALLENGERS",
    "CHAMPIONS",
    "INPUTS",
    "LEADERBOARD",
    "LEASES",
    "OUTCOMES",
    "PREDICTIONS",
    "QUARANTINE",
    "REGISTRATIONS",
    "SEGMENTS",
    "VERDICTS",
    "TableSpec",
    "category_column",
    "count_column",
    "feature_column",
    "key_column",
    "landed",
    "levels",
    "observations",
]

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TableSpec:
    """Name, columns and partition columns of one Delta table."""

    name: str
    schema: pa.Schema
    partition_by: tuple[str, ...]

    @property
    def file_schema(self) -> pa.Schema:
        """Columns of the Parquet files: all but the partition columns."""
        return pa.schema([field for field in self.schema if field.name not in self.partition_by])


def _spec(name: str, columns: dict[str, pa.DataType], *partition_by: str) -> TableSpec:
    return TableSpec(name, pa.schema(list(columns.items())), partition_by)


def feature_column(name: str) -> str:
    """Return the column of a numeric feature; prefixed, so that no name of a user clashes with ours."""
    return f"x_{name}"


def count_column(name: str) -> str:
    """Return the column that counts the rows with a value of a numeric feature."""
    return f"n_{name}"


def category_column(name: str) -> str:
    """Return the column of a categorical feature."""
    return f"c_{name}"


def key_column(name: str) -> str:
    """Return the column of a `row_key` column."""
    return f"k_{name}"


def _features(fleet: Fleet) -> dict[str, pa.DataType]:
    numeric = {feature_column(name): pa.float64() for name in fleet.features.numeric}
    return numeric | {category_column(name): pa.string() for name in fleet.features.categorical}


def landed(fleet: Fleet, name: str = "landed") -> TableSpec:
    """Specify the table of ingested valid rows: one file per input, sorted by segment hash.

    Its partitions are the ledger: an input whose (path_id, input_id) is present has been ingested.
    `requests` has the same columns and holds scoring input.
    """
    columns = {"segment": pa.string(), "hash": pa.int64(), "time": TIME, "target": pa.float64()}
    columns |= {"path": pa.string(), "row": pa.int64()}
    keys = {key_column(key): pa.string() for key in fleet.row_key}
    partition = {"path_id": pa.string(), "input_id": pa.string()}
    return _spec(name, columns | _features(fleet) | keys | partition, "path_id", "input_id")


def observations(fleet: Fleet) -> TableSpec:
    """Specify the table of training rows: bucketed, sorted by segment and time; in forecast fleets unique by both."""
    columns = {"segment": pa.string(), "time": TIME, "target": pa.float64(), "excluded": pa.bool_()}
    lineage = {"input_id": pa.string(), "row": pa.int64(), "bucket": pa.int32()}
    return _spec("observations", columns | _features(fleet) | lineage, "bucket")


def levels(fleet: Fleet) -> TableSpec:
    """Specify the table of sums by fallback key and time, one part per bucket; added up they are the keys' series."""
    columns = {"level": pa.string(), "time": TIME, "rows": pa.int64(), "target": pa.float64()}
    numeric = {feature_column(name): pa.float64() for name in fleet.features.numeric}
    counts = {count_column(name): pa.int64() for name in fleet.features.numeric}
    return _spec("levels", columns | numeric | counts | {"bucket": pa.int32()}, "bucket")


INPUTS = _spec(
    "inputs",
    {
        "path": pa.string(),
        "stamp": pa.string(),
        "input_id": pa.string(),
        "bytes": pa.int64(),
        "rows_read": pa.int64(),
        "rows_accepted": pa.int64(),
        "rows_quarantined": pa.int64(),
        "error": pa.string(),
        "modified_at": TIME,
        "ingested_at": TIME,
        "role": pa.string(),
        "path_id": pa.string(),
    },
    "role",
    "path_id",
)

QUARANTINE = _spec(
    "quarantine",
    {
        "reason": pa.string(),
        "detail": pa.string(),
        "path": pa.string(),
        "input_id": pa.string(),
        "row": pa.int64(),
        "segment": pa.string(),
        "content": pa.string(),
        "stage": pa.string(),
        "part": pa.string(),
    },
    "stage",
    "part",
)

SEGMENTS = _spec(
    "segments",
    {
        "segment": pa.string(),
        "rows": pa.int64(),
        "excluded": pa.int64(),
        "first_time": TIME,
        "last_time": TIME,
        "periods": pa.int64(),
        "gaps": pa.int64(),
        "mean": pa.float64(),
        "std": pa.float64(),
        "zero_share": pa.float64(),
        "interval": pa.float64(),
        "variation": pa.float64(),
        "demand": pa.string(),
        "fingerprint": pa.string(),
        "bucket": pa.int32(),
    },
    "bucket",
)

_MODEL: dict[str, pa.DataType] = {
    "segment": pa.string(),
    "level": pa.string(),
    "model_name": pa.string(),
    "candidate": pa.string(),
    "metric": pa.string(),
    "error": pa.float64(),
    "baseline_error": pa.float64(),
    "rows": pa.int64(),
    "cutoff": TIME,
    "weight": pa.float64(),
    "scale": pa.float64(),
    "fingerprint": pa.string(),
    "contract": pa.string(),
    "parameters": pa.string(),
    "onnx": pa.binary(),
    "sha256": pa.string(),
    "parity_error": pa.float64(),
    "latency_ms": pa.float64(),
    "run_id": pa.string(),
    "refits": pa.int64(),
}

CHALLENGERS = _spec("challengers", _MODEL | {"bucket": pa.int32()}, "bucket")

LEADERBOARD = _spec(
    "leaderboard",
    {
        "segment": pa.string(),
        "candidate": pa.string(),
        "error": pa.float64(),
        "rank": pa.int64(),
        "selected": pa.bool_(),
        "weight": pa.float64(),
        "run_id": pa.string(),
        "bucket": pa.int32(),
    },
    "bucket",
)

REGISTRATIONS = _spec(
    "registrations",
    {
        "segment": pa.string(),
        "model_name": pa.string(),
        "model_version": pa.int64(),
        "fingerprint": pa.string(),
        "bucket": pa.int32(),
    },
    "bucket",
)

OUTCOMES = _spec(
    "outcomes",
    {
        "segment": pa.string(),
        "outcome": pa.string(),
        "reason": pa.string(),
        "candidate": pa.string(),
        "run_id": pa.string(),
        "bucket": pa.int32(),
    },
    "run_id",
    "bucket",
)

VERDICTS = _spec(
    "verdicts",
    {
        "segment": pa.string(),
        "gate": pa.string(),
        "passed": pa.bool_(),
        "decisive": pa.bool_(),
        "value": pa.float64(),
        "limit": pa.float64(),
        "reason": pa.string(),
        "run_id": pa.string(),
    },
    "run_id",
)

CHAMPIONS = _spec(
    "champions",
    _MODEL
    | {
        "model_version": pa.int64(),
        "promoted_at": TIME,
        "kind": pa.string(),
        "source": pa.string(),
        "bucket": pa.int32(),
        "release": pa.int64(),
    },
    "release",
    "bucket",
)

LEASES = _spec(
    "leases",
    {
        "what": pa.string(),
        "host": pa.string(),
        "boot": pa.string(),
        "pid": pa.int64(),
        "started": pa.float64(),
        "acquired_at": TIME,
        "renewed_at": TIME,
        "expires_at": TIME,
        "run_id": pa.string(),
    },
    "run_id",
)

PREDICTIONS = _spec(
    "predictions",
    {
        "segment": pa.string(),
        "origin": TIME,
        "time": TIME,
        "step": pa.int32(),
        "prediction": pa.float64(),
        "lower": pa.float64(),
        "upper": pa.float64(),
        "status": pa.string(),
        "reason": pa.string(),
        "candidate": pa.string(),
        "model_name": pa.string(),
        "model_version": pa.int64(),
        "release": pa.int64(),
        "fallback_level": pa.string(),
        "cutoff": TIME,
        "as_of": TIME,
        "job_id": pa.string(),
        "input_id": pa.string(),
        "row": pa.int64(),
        "row_key": pa.string(),
        "scored_at": TIME,
        "part": pa.string(),
    },
    "part",
)

ACCURACY = _spec(
    "accuracy",
    {
        "segment": pa.string(),
        "step": pa.int32(),
        "release": pa.int64(),
        "in_sample": pa.bool_(),
        "rows": pa.int64(),
        "excluded": pa.int64(),
        "mae": pa.float64(),
        "rmse": pa.float64(),
        "bias": pa.float64(),
        "absolute_error": pa.float64(),
        "absolute_actual": pa.float64(),
        "wape": pa.float64(),
        "smape": pa.float64(),
        "interval_rows": pa.int64(),
        "coverage": pa.float64(),
        "first_time": TIME,
        "last_time": TIME,
        "basis": pa.string(),
        "bucket": pa.int32(),
    },
    "bucket",
)
