"""Measure a sample: train and score its pieces, and commit in between."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from adapters.compute.dask import Workers
from domain.capacity.cost_model import CostModel, Measurement, StageCost, Work, fit_memory, fit_stage_cost
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, PREDICTIONS
from models.training.fingerprints import cost_fingerprint
from tasks.sizing.sample import SizeSample, promote_sample
from tasks.workers.measure import Measured, Measuring
from tasks.workers.run_context import RunContext
from tasks.workers.score import ScoreReceipt, score_bucket
from tasks.workers.train import TrainReceipt, train_bucket

__all__ = ["MeasuredSample", "measure_sample"]

_REASONS = 3


@dataclass(frozen=True)
class MeasuredSample:
    """Measured costs of the sample. failed : segments that could not be trained. reasons : the most frequent ones."""

    rates: CostModel
    failed: int
    reasons: tuple[str, ...]


def measure_sample(sample: SizeSample, workers: Workers, *, remote: bool) -> MeasuredSample:
    """Train and score the pieces one after another, the first of them twice: a worker's first task loads code.

    workers : a single one, of this machine. remote : add the time that it took to read the sample's rows, because in
    the fleet's lake every task reads its own.
    """
    context, pieces = sample.context, list(range(sample.pieces))
    train = Measuring(partial(train_bucket, context, sample.contract, sample.pieces))
    first, *trained = workers.map("train sample", train, [pieces[0], *pieces, FALLBACK_BUCKET])
    commit_seconds = _commit_training(context, [done.result for done in trained])
    promote_sample(context, sample.pieces)
    score = Measuring(partial(score_bucket, context, sample.request()))
    _, *scored = workers.map("score sample", score, [pieces[0], *pieces])
    commit_seconds += _commit_scoring(context, [done.result for done in scored])
    idle = first.peak_bytes if not trained else min(done.before_bytes for done in trained)
    per_row = sample.read_seconds if remote else 0.0
    training = [Measurement(_trained(done.result), done.seconds, done.peak_bytes) for done in trained]
    training = [piece for piece in training if piece.work.segments]
    scoring = [piece for piece in _scored(sample, scored) if piece.work.segments]
    rates = CostModel(
        settings=cost_fingerprint(context.fleet),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        train=_rate(training, per_row),
        score=_rate(scoring, per_row) if scoring else None,
        train_bytes=fit_memory(training, idle),
        score_bytes=fit_memory(scoring, idle) if scoring else None,
        idle_bytes=idle,
        first_seconds=max(first.seconds - trained[0].seconds, 0.0),
        commit_seconds=commit_seconds,
    )
    return MeasuredSample(rates, *_failures(context))


def _trained(receipt: TrainReceipt) -> Work:
    """Return the number of models trained; failed ones cost as much."""
    return Work(receipt.models + receipt.outcomes.get("failed", 0), receipt.rows)


def _scored(sample: SizeSample, scored: Sequence[Measured[ScoreReceipt]]) -> list[Measurement]:
    """Return segments and rows scored: observations of a forecast fleet, else those of the scoring input."""
    rows = [work.rows for work in sample.work] if sample.context.fleet.task_type.periodic else sample.requests
    return [
        Measurement(Work(done.result.segments, count), done.seconds, done.peak_bytes)
        for done, count in zip(scored, rows, strict=True)
    ]


def _rate(pieces: Sequence[Measurement], per_row: float) -> StageCost:
    rate = fit_stage_cost([piece.work for piece in pieces], [piece.seconds for piece in pieces])
    return replace(rate, per_row=rate.per_row + per_row)


def _commit_training(context: RunContext, receipts: Sequence[TrainReceipt]) -> float:
    """Commit a training in the sample's lake; return the seconds that it took."""
    began = time.perf_counter()
    context.table(OUTCOMES).replace([file for receipt in receipts for file in receipt.ledger], lambda file: True)
    context.table(LEADERBOARD).replace(
        [file for receipt in receipts for file in receipt.leaderboard], lambda file: True
    )
    context.table(CHALLENGERS).replace(
        [file for receipt in receipts for file in receipt.challengers], lambda file: True
    )
    return time.perf_counter() - began


def _commit_scoring(context: RunContext, receipts: Sequence[ScoreReceipt]) -> float:
    began = time.perf_counter()
    context.table(PREDICTIONS).replace([file for receipt in receipts for file in receipt.files], lambda file: True)
    return time.perf_counter() - began


def _failures(context: RunContext) -> tuple[int, tuple[str, ...]]:
    rows: list[Mapping[str, str]] = context.table(OUTCOMES).read(["outcome", "reason"]).to_pylist()
    reasons = [row["reason"] for row in rows if row["outcome"] == "failed"]
    return len(reasons), tuple(sorted(set(reasons), key=reasons.count, reverse=True)[:_REASONS])
