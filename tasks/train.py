"""Train: every segment gets a challenger or a reason, in one commit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile
from models.errors import TrainingError
from models.features import contract_of
from models.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, category_column, observations
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.work.train import LEVELS, TrainReceipt, train_bucket

__all__ = ["TrainSummary", "train_challengers"]


@dataclass(frozen=True)
class TrainSummary:
    """Segments by outcome (they add up to `segments`), winners by candidate, and models of fallback levels."""

    segments: int
    outcomes: Mapping[str, int]
    candidates: Mapping[str, int]
    levels: int
    rows: int


@task(name="train challengers", cache_policy=NO_CACHE)
def train_challengers(run: Run) -> TrainSummary:
    """Train every bucket and commit challengers, leaderboard and outcomes.

    Raises TrainingError if more than `max_failed_share` of the segments failed; their outcomes are kept.
    """
    buckets = recorded_buckets(run)
    if not buckets:
        raise TrainingError(f"fleet {run.fleet.name}: nothing to train on; ingest and partition first")
    contract = contract_of(run.fleet, _categories(run))
    # The levels first: they are the largest task of many fleets.
    work = partial(train_bucket, run.job, contract, buckets)
    receipts = run.workers.map("train", work, [LEVELS, *range(buckets)])
    _commit_outcomes(run, receipts)
    summary = _summary(receipts)
    failed = summary.outcomes.get("failed", 0)
    if failed > run.fleet.max_failed_share * summary.segments:
        raise TrainingError(
            f"fleet {run.fleet.name}: {failed} of {summary.segments} segments failed, more than max_failed_share = "
            f"{run.fleet.max_failed_share:g}; the reasons are in the outcomes table (run_id {run.job.run_id})"
        )
    _commit_models(run, receipts)
    return summary


def _categories(run: Run) -> Mapping[str, tuple[str, ...]]:
    """The most frequent values of each categorical column, in order of the alphabet."""
    found = {}
    for name in run.fleet.features.categorical:
        column = category_column(name)
        counts: Counter[str] = Counter()
        table = run.table(observations(run.fleet))
        for file in table.files():
            values = table.read_files([file], [column])[column].value_counts()
            counts.update({pair["values"]: pair["counts"] for pair in pa.array(values).to_pylist()})
        counts.pop(None, None)  # type: ignore[call-overload]
        common = sorted(counts, key=lambda value: (-counts[value], value))[: run.fleet.features.max_levels]
        found[name] = tuple(sorted(common))
    return found


def _summary(receipts: Sequence[TrainReceipt]) -> TrainSummary:
    outcomes: Counter[str] = Counter()
    candidates: Counter[str] = Counter()
    for receipt in receipts:
        outcomes.update(receipt.outcomes)
        if receipt.bucket != LEVELS:
            candidates.update(receipt.candidates)
    return TrainSummary(
        segments=sum(outcomes.values()),
        outcomes=dict(outcomes),
        candidates=dict(candidates),
        levels=sum(receipt.models for receipt in receipts if receipt.bucket == LEVELS),
        rows=sum(receipt.rows for receipt in receipts),
    )


def _commit_outcomes(run: Run, receipts: Sequence[TrainReceipt]) -> None:
    staged = [file for receipt in receipts for file in receipt.ledger]
    run.table(OUTCOMES).replace(staged, lambda file: file.partition["run_id"] == run.job.run_id)


def _commit_models(run: Run, receipts: Sequence[TrainReceipt]) -> None:
    def everything(file: StagedFile) -> bool:
        return True

    run.table(LEADERBOARD).replace([file for receipt in receipts for file in receipt.leaderboard], everything)
    staged = [file for receipt in receipts for file in receipt.challengers]
    run.table(CHALLENGERS).replace(staged, everything, note={"run_id": run.job.run_id})
