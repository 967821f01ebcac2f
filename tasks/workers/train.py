"""Train one bucket, or the fallback levels, and stage challengers, leaderboard and outcomes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from domain.data.fallback_levels import (
    MAX_FALLBACK_ROWS,
    fallback_level_of,
    fallback_observations,
    sample_fallback_rows,
)
from domain.data.model_record import ModelRecord
from domain.data.segments import FALLBACK_BUCKET, fallback_name, model_name
from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, SEGMENTS, levels, observations
from models.features.feature_spec import FeatureSpec
from models.training.fingerprints import settings_fingerprint
from models.training.plan import SegmentPlan
from models.training.trained import TrainedSegment
from models.training.trainers import TRAINERS
from tasks.workers.plan import former_models, planned_buckets, planned_levels
from tasks.workers.run_context import RunContext, in_bucket, stage_rows, with_constants

__all__ = ["Outcome", "TrainReceipt", "outcome_of", "stage_outcomes", "train_bucket"]


@dataclass(frozen=True)
class TrainReceipt:
    """Result of training one bucket. outcomes : outcome -> number of segments; fallback levels have none."""

    bucket: int
    outcomes: Mapping[str, int]
    candidates: Mapping[str, int]
    rows: int
    models: int
    challengers: tuple[StagedFile, ...]
    leaderboard: tuple[StagedFile, ...]
    ledger: tuple[StagedFile, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one segment in a run."""

    segment: str
    outcome: str
    reason: str
    candidate: str = ""


def outcome_of(planned: SegmentPlan) -> Outcome:
    """The outcome of a segment that needs no training."""
    name = {"reuse": "reused", "fallback": "fallback", "skip": "skipped"}[planned.action]
    return Outcome(planned.segment, name, planned.reason, planned.candidate)


def stage_outcomes(context: RunContext, outcomes: Sequence[Outcome], bucket: int) -> tuple[StagedFile, ...]:
    """Stage outcomes as rows of this run."""
    names = ("segment", "outcome", "reason", "candidate")
    rows = pa.table({name: pa.array([getattr(outcome, name) for outcome in outcomes], pa.string()) for name in names})
    return stage_rows(context.table(OUTCOMES), rows, run_id=context.run_id, bucket=bucket)


def train_bucket(context: RunContext, contract: FeatureSpec, buckets: int, bucket: int) -> TrainReceipt:
    """Train the segments of one bucket that need it; every segment gets exactly one outcome."""
    settings = settings_fingerprint(context.fleet, contract)
    former = former_models(context, bucket)
    if bucket == FALLBACK_BUCKET:
        return _train_levels(
            context, contract, buckets, planned_levels(context, former.get(FALLBACK_BUCKET, {}), settings)
        )
    planned = planned_buckets(context, former, settings, bucket).get(bucket, [])
    profiles = {row["segment"]: row for row in context.table(SEGMENTS).read(where=in_bucket(bucket)).to_pylist()}
    rows = _rows(context, bucket, [plan.segment for plan in planned if plan.trains])
    trained = _train(context, contract, rows, planned)
    outcomes, records = [], []
    for plan in planned:
        result = trained.get(plan.segment)
        outcomes.append(outcome_of(plan) if result is None else _outcome(plan, result))
        if result is not None and not result.failed:
            profile = profiles[plan.segment]
            count, cutoff = profile["rows"] - profile["excluded"], profile["last_time"]
            records.append(_record(context, contract, plan, result, "segment", count, cutoff))
    return _stage(context, bucket, list(trained.values()), records, planned, rows.num_rows, outcomes)


def _outcome(planned: SegmentPlan, result: TrainedSegment) -> Outcome:
    if result.failed:
        return Outcome(planned.segment, "failed", result.reason)
    reason = "; ".join(filter(None, (planned.reason, result.reason)))
    return Outcome(planned.segment, "trained", reason, result.candidate)


def _rows(context: RunContext, bucket: int, segments: Sequence[str]) -> pa.Table:
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    return rows.filter(pc.is_in(rows["segment"], pa.array(segments, pa.string()))) if segments else rows.slice(0, 0)


def _train(
    context: RunContext, contract: FeatureSpec, rows: pa.Table, planned: Sequence[SegmentPlan]
) -> Mapping[str, TrainedSegment]:
    """Refit or select each segment's candidate as planned; a segment whose refit fails is selected anew."""
    refits: dict[str, list[str]] = {}
    for plan in planned:
        if plan.action == "refit":
            refits.setdefault(plan.candidate, []).append(plan.segment)
    selected = [plan.segment for plan in planned if plan.action == "select"]
    trained: dict[str, TrainedSegment] = {}
    for candidate, segments in sorted(refits.items()):
        results = _fit(context, contract, rows, segments, candidate)
        trained |= {result.segment: result for result in results if not result.failed}
        selected += [result.segment for result in results if result.failed]
    return trained | {result.segment: result for result in _fit(context, contract, rows, selected)}


def _fit(
    context: RunContext, contract: FeatureSpec, rows: pa.Table, segments: Sequence[str], winner: str = ""
) -> list[TrainedSegment]:
    """Train segments on their part of rows that are sorted by segment. winner : refits this candidate."""
    rows = rows.filter(pc.is_in(rows["segment"], pa.array(segments, pa.string())))
    if rows.num_rows == 0:
        return []
    return list(TRAINERS[context.fleet.task](rows, context.fleet, contract, winner))


def _train_levels(
    context: RunContext, contract: FeatureSpec, buckets: int, planned: Sequence[SegmentPlan]
) -> TrainReceipt:
    """Train the fallback levels that need it, on enough rows; their records bear the name of the level."""
    plans = {plan.segment: plan for plan in planned if plan.trains}
    rows = _level_rows(context, buckets)
    rows = rows.filter(pc.is_in(rows["segment"], pa.array(list(plans), pa.string())))
    counts = Counter(rows["segment"].to_pylist())
    enough = {key: plan for key, plan in plans.items() if counts[key] >= context.fleet.partition.min_rows}
    rows = rows.filter(pc.is_in(rows["segment"], pa.array(list(enough), pa.string())))
    trained = _train(context, contract, rows, list(enough.values()))
    records = []
    for key, result in trained.items():
        if not result.failed:
            last = pc.max(rows.filter(pc.equal(rows["segment"], key))["time"]).as_py()
            records.append(_record(context, contract, enough[key], result, fallback_level_of(key), counts[key], last))
    return _stage(context, FALLBACK_BUCKET, list(trained.values()), records, planned, rows.num_rows)


def _level_rows(context: RunContext, buckets: int) -> pa.Table:
    """Rows to train all levels on, sorted by level and time."""
    if context.fleet.task_type.periodic:
        return fallback_observations(context.table(levels(context.fleet)).read(), context.fleet)
    table, share = context.table(observations(context.fleet)), max(1, MAX_FALLBACK_ROWS // buckets)
    parts = [
        sample_fallback_rows(table.read(where=in_bucket(bucket)), context.fleet, share) for bucket in range(buckets)
    ]
    return pa.concat_tables(parts).sort_by([("segment", "ascending"), ("time", "ascending")])


def _record(
    context: RunContext,
    contract: FeatureSpec,
    planned: SegmentPlan,
    result: TrainedSegment,
    level: str,
    rows: int,
    cutoff: datetime | None,
) -> ModelRecord:
    name = model_name if level == "segment" else fallback_name
    return ModelRecord(
        segment=result.segment,
        level=level,
        model_name=name(context.fleet.name, result.segment),
        candidate=result.candidate,
        metric=context.fleet.backtest.metric,
        error=result.error,
        baseline_error=result.baseline_error,
        weight=result.weight,
        rows=rows,
        cutoff=cutoff,
        scale=result.scale,
        fingerprint=planned.fingerprint,
        contract=result.contract or contract.to_json(),
        parameters=result.parameters,
        onnx=result.graph,
        sha256=result.sha256,
        parity_error=result.parity_error,
        latency_ms=result.latency_ms,
        run_id=context.run_id,
        refits=planned.refits if result.candidate == planned.candidate else 0,
    )


def _stage(
    context: RunContext,
    bucket: int,
    trained: Sequence[TrainedSegment],
    records: Sequence[ModelRecord],
    planned: Sequence[SegmentPlan],
    rows: int,
    outcomes: Sequence[Outcome] = (),
) -> TrainReceipt:
    """Stage the bucket's part of every table: new models, and models that are reused unchanged."""
    table = context.table(CHALLENGERS)
    schema = table.spec.file_schema
    models = pa.Table.from_pylist([record.to_row() for record in records], schema=schema)
    reused = pa.array([plan.segment for plan in planned if plan.action == "reuse"], pa.string())
    board = _leaderboard(context, trained)
    if len(reused):
        before = table.read(schema.names, in_bucket(bucket))
        models = pa.concat_tables([models, before.filter(pc.is_in(before["segment"], reused))])
        standing = context.table(LEADERBOARD).read(board.column_names, in_bucket(bucket))
        board = pa.concat_tables([board, standing.filter(pc.is_in(standing["segment"], reused))])
    return TrainReceipt(
        bucket=bucket,
        outcomes=Counter(outcome.outcome for outcome in outcomes),
        candidates=Counter(result.candidate for result in trained if not result.failed),
        rows=rows,
        models=len(records),
        challengers=stage_rows(table, models, bucket=bucket),
        leaderboard=stage_rows(context.table(LEADERBOARD), board, bucket=bucket),
        ledger=stage_outcomes(context, outcomes, bucket),
    )


def _leaderboard(context: RunContext, trained: Sequence[TrainedSegment]) -> pa.Table:
    rows = []
    for result in trained:
        ordered = sorted(result.ranks, key=lambda rank: (np.isnan(rank.error), rank.error))
        for place, rank in enumerate(ordered, start=1):
            row = {"segment": result.segment, "candidate": rank.candidate, "error": rank.error, "rank": place}
            rows.append(row | {"selected": rank.selected, "weight": rank.weight})
    schema = context.table(LEADERBOARD).spec.file_schema
    names = [name for name in schema.names if name != "run_id"]
    table = pa.Table.from_pylist(rows, schema=pa.schema([schema.field(name) for name in names]))
    return with_constants(table, run_id=context.run_id).select(schema.names)
