"""Train one bucket, or the fallback levels, and stage challengers, leaderboard and outcomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake import StagedFile
from models.features import Contract
from models.levels import level_label, level_observations, sampled_levels
from models.partition import runs_of
from models.records import ModelRecord
from models.segments import fallback_name, model_name
from models.series import build_series, encode_covariates
from models.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, SEGMENTS, levels, observations
from models.train import TrainedSegment
from models.train_forecast import train_forecast
from models.train_regression import Tabular, train_regression
from models.version import settings_fingerprint, training_fingerprint
from tasks.work.job import Job, in_bucket, read_models, stage_rows, with_constants

__all__ = ["LEVELS", "TrainReceipt", "tabular_of", "train_bucket"]

LEVELS = -1
"""Bucket number of the fallback levels."""

_MAX_LEVEL_ROWS = 200_000


@dataclass(frozen=True)
class TrainReceipt:
    """What became of one bucket. outcomes : outcome -> segments; levels are not segments and have none."""

    bucket: int
    outcomes: Mapping[str, int]
    candidates: Mapping[str, int]
    rows: int
    models: int
    challengers: tuple[StagedFile, ...]
    leaderboard: tuple[StagedFile, ...]
    ledger: tuple[StagedFile, ...]


@dataclass(frozen=True)
class _Plan:
    """Segments of a bucket and what will be done with each: key -> profile row."""

    train: Mapping[str, Mapping[str, Any]]
    reused: Mapping[str, ModelRecord]
    outcomes: list[tuple[str, str, str, str]]


def train_bucket(job: Job, contract: Contract, buckets: int, bucket: int) -> TrainReceipt:
    """Train the segments of one bucket that need it; every segment gets exactly one outcome."""
    if bucket == LEVELS:
        return _train_levels(job, contract, buckets)
    plan = _plan(job, contract, bucket)
    rows = _rows(job, bucket, list(plan.train))
    trained = _train(job, contract, rows)
    for result in trained:
        outcome = "failed" if result.failed else "trained"
        plan.outcomes.append((result.segment, outcome, result.reason, result.candidate))
    records = [_record(job, contract, plan.train[r.segment], r, "segment") for r in trained if not r.failed]
    return _stage(job, bucket, trained, records, plan, rows.num_rows)


def _plan(job: Job, contract: Contract, bucket: int) -> _Plan:
    settings = settings_fingerprint(job.fleet, contract)
    before = read_models(job, CHALLENGERS, in_bucket(bucket), ModelRecord)
    outcomes: list[tuple[str, str, str, str]] = []
    train: dict[str, Mapping[str, Any]] = {}
    reused: dict[str, ModelRecord] = {}
    for profile in job.table(SEGMENTS).read(where=in_bucket(bucket)).to_pylist():
        segment, rows = profile["segment"], profile["rows"] - profile["excluded"]
        profile["fingerprint"] = training_fingerprint(profile["fingerprint"], settings)
        if rows == 0:
            outcomes.append((segment, "skipped", "every row is excluded as an outlier", ""))
        elif rows < job.fleet.partition.min_rows:
            reason = f"{rows} rows, fewer than partition.min_rows = {job.fleet.partition.min_rows}"
            outcomes.append((segment, "fallback", reason, ""))
        elif segment in before and before[segment].fingerprint == profile["fingerprint"]:
            reused[segment] = before[segment]
            outcomes.append((segment, "reused", "rows and settings are unchanged", before[segment].candidate))
        else:
            train[segment] = profile
    return _Plan(train, reused, outcomes)


def _rows(job: Job, bucket: int, segments: Sequence[str]) -> pa.Table:
    rows = job.table(observations(job.fleet)).read(where=in_bucket(bucket))
    return rows.filter(pc.is_in(rows["segment"], pa.array(segments, pa.string()))) if segments else rows.slice(0, 0)


def _train(job: Job, contract: Contract, rows: pa.Table) -> list[TrainedSegment]:
    if rows.num_rows == 0:
        return []
    if job.fleet.task == "forecast":
        return train_forecast(build_series(rows, contract, job.fleet.clock), job.fleet, contract)
    return train_regression(tabular_of(rows, contract), job.fleet, contract)


def tabular_of(rows: pa.Table, contract: Contract) -> Tabular:
    """Observations (sorted by segment) as regression rows; excluded ones are left out."""
    rows = rows.filter(pc.invert(rows["excluded"]))
    starts, lengths = runs_of(rows["segment"])
    names = rows["segment"].take(pa.array(starts)).to_pylist()
    return Tabular(tuple(names), encode_covariates(rows, contract), rows["target"].to_numpy(), starts, lengths)


def _train_levels(job: Job, contract: Contract, buckets: int) -> TrainReceipt:
    """Train the parents and the global model; they get their own records, with the level's name."""
    if job.fleet.task == "forecast":
        rows = level_observations(job.table(levels(job.fleet)).read(), job.fleet)
    else:
        table, share = job.table(observations(job.fleet)), max(1, _MAX_LEVEL_ROWS // buckets)
        parts = [sampled_levels(table.read(where=in_bucket(bucket)), job.fleet, share) for bucket in range(buckets)]
        rows = pa.concat_tables(parts).sort_by([("segment", "ascending"), ("time", "ascending")])
    counted = Counter(rows["segment"].to_pylist())
    enough = [key for key, count in counted.items() if count >= job.fleet.partition.min_rows]
    rows = rows.filter(pc.is_in(rows["segment"], pa.array(enough, pa.string())))
    trained = _train(job, contract, rows)
    records = []
    for result in trained:
        if result.failed:
            continue
        last = pc.max(rows.filter(pc.equal(rows["segment"], result.segment))["time"]).as_py()
        profile = {"rows": counted[result.segment], "excluded": 0, "last_time": last, "fingerprint": result.sha256[:32]}
        records.append(_record(job, contract, profile, result, level_label(result.segment)))
    return _stage(job, LEVELS, trained, records, _Plan({}, {}, []), rows.num_rows)


def _record(
    job: Job, contract: Contract, profile: Mapping[str, Any], result: TrainedSegment, level: str
) -> ModelRecord:
    name = model_name if level == "segment" else fallback_name
    return ModelRecord(
        segment=result.segment,
        level=level,
        model_name=name(job.fleet.name, result.segment),
        candidate=result.candidate,
        metric=job.fleet.backtest.metric,
        error=result.error,
        baseline_error=result.baseline_error,
        weight=result.weight,
        rows=profile["rows"] - profile["excluded"],
        cutoff=profile["last_time"],
        scale=result.scale,
        fingerprint=profile["fingerprint"],
        contract=contract.to_json(),
        parameters=result.parameters,
        onnx=result.graph,
        sha256=result.sha256,
        parity_error=result.parity_error,
        latency_ms=result.latency_ms,
        run_id=job.run_id,
    )


def _stage(
    job: Job,
    bucket: int,
    trained: Sequence[TrainedSegment],
    records: Sequence[ModelRecord],
    plan: _Plan,
    rows: int,
) -> TrainReceipt:
    table = job.table(CHALLENGERS)
    rows_of_models = [record.to_row() for record in (*records, *plan.reused.values())]
    models = pa.Table.from_pylist(rows_of_models, schema=table.spec.file_schema)
    board = _leaderboard(job, trained)
    if plan.reused:
        before = job.table(LEADERBOARD).read(where=in_bucket(bucket)).drop_columns(["bucket"])
        board = pa.concat_tables([board, before.filter(pc.is_in(before["segment"], pa.array(list(plan.reused))))])
    ledger = pa.table(
        {
            name: pa.array([row[position] for row in plan.outcomes], pa.string())
            for position, name in enumerate(("segment", "outcome", "reason", "candidate"))
        }
    )
    return TrainReceipt(
        bucket=bucket,
        outcomes=Counter(outcome for _, outcome, _, _ in plan.outcomes),
        candidates=Counter(result.candidate for result in trained if not result.failed),
        rows=rows,
        models=len(records),
        challengers=stage_rows(table, models, bucket=bucket),
        leaderboard=stage_rows(job.table(LEADERBOARD), board, bucket=bucket),
        ledger=stage_rows(job.table(OUTCOMES), ledger, run_id=job.run_id, bucket=bucket),
    )


def _leaderboard(job: Job, trained: Sequence[TrainedSegment]) -> pa.Table:
    rows = []
    for result in trained:
        ordered = sorted(result.ranks, key=lambda rank: (np.isnan(rank.error), rank.error))
        for place, rank in enumerate(ordered, start=1):
            row = {"segment": result.segment, "candidate": rank.candidate, "error": rank.error, "rank": place}
            rows.append(row | {"selected": rank.selected, "weight": rank.weight})
    schema = job.table(LEADERBOARD).spec.file_schema
    names = [name for name in schema.names if name != "run_id"]
    table = pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in names]))
    return with_constants(table, run_id=job.run_id).select(schema.names)
