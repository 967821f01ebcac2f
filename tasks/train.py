"""Train the fleet: every segment gets a challenger or a reason, in one commit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.lake.lease import check_lease
from adapters.lake.staged_file import StagedFile
from domain.data.segments import FALLBACK_BUCKET, bucket_of, hash_segments
from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, SEGMENTS, levels, observations
from domain.errors import TrainingError
from models.training.plan import SegmentPlan
from tasks.checkpoint import clear_checkpoints, map_with_checkpoints
from tasks.context import Run
from tasks.plan import TrainingPlan, plan_training
from tasks.workers.train import Outcome, TrainReceipt, outcome_of, stage_outcomes, train_bucket

__all__ = ["TrainSummary", "train_challengers"]


@dataclass(frozen=True)
class TrainSummary:
    """Segments by outcome (which add up to `segments`), winners by candidate, and models of fallback levels."""

    segments: int
    outcomes: Mapping[str, int]
    candidates: Mapping[str, int]
    levels: int
    rows: int


def train_challengers(run: Run) -> TrainSummary:
    """Train the segments that need it; commit challengers, leaderboard and outcomes.

    Raises TrainingError if more than `max_failed_share` of the segments failed; the outcomes are stored all the same.
    """
    snapshot = run.at_snapshot(CHALLENGERS, LEADERBOARD, SEGMENTS, observations(run.fleet), levels(run.fleet))
    plan = plan_training(snapshot)
    if not plan.buckets:
        raise TrainingError(f"fleet {run.fleet.name}: nothing to train on; ingest and partition first")
    version = snapshot.table(CHALLENGERS).version()
    receipts = _trained(snapshot, plan)
    untrained = [(bucket, planned) for bucket, planned in plan.segments.items() if bucket not in plan.work]
    _commit_outcomes(run, plan, untrained, receipts)
    summary = _summary(plan, untrained, receipts)
    failed = summary.outcomes.get("failed", 0)
    if failed and failed / summary.segments > run.fleet.max_failed_share:
        clear_checkpoints(run, "train")
        raise TrainingError(
            f"fleet {run.fleet.name}: {failed} of {summary.segments} segments failed, more than max_failed_share = "
            f"{run.fleet.max_failed_share:g}; the reasons are in the outcomes table (run_id {run.context.run_id})"
        )
    _commit_models(run, receipts, version)
    clear_checkpoints(run, "train")
    return summary


def _trained(run: Run, plan: TrainingPlan) -> list[TrainReceipt]:
    if not plan.work:
        return []
    tables = [run.table(spec).version() for spec in (observations(run.fleet), SEGMENTS, CHALLENGERS)]
    work = partial(train_bucket, run.context, plan.contract, plan.buckets)
    basis = [*tables, plan.contract.to_json(), *filter(None, [run.context.part])]
    return map_with_checkpoints(run, "train", basis, work, plan.work, TrainReceipt, weight=plan.weight)


def _summary(
    plan: TrainingPlan, untrained: Sequence[tuple[int, Sequence[SegmentPlan]]], receipts: Sequence[TrainReceipt]
) -> TrainSummary:
    outcomes = Counter[str](outcome_of(item).outcome for _, planned in untrained for item in planned)
    outcomes += Counter(skipped=len(plan.vanished))
    candidates: Counter[str] = Counter()
    for receipt in receipts:
        outcomes.update(receipt.outcomes)
        if receipt.bucket != FALLBACK_BUCKET:
            candidates.update(receipt.candidates)
    return TrainSummary(
        segments=sum(outcomes.values()),
        outcomes=dict(outcomes),
        candidates=dict(candidates),
        levels=sum(receipt.models for receipt in receipts if receipt.bucket == FALLBACK_BUCKET),
        rows=sum(receipt.rows for receipt in receipts),
    )


def _commit_outcomes(
    run: Run,
    plan: TrainingPlan,
    untrained: Sequence[tuple[int, Sequence[SegmentPlan]]],
    receipts: Sequence[TrainReceipt],
) -> None:
    """Commit one outcome per segment: from the workers, or from the plan if there was nothing to do."""
    known = {bucket: [outcome_of(item) for item in planned] for bucket, planned in untrained}
    for segment, reason in plan.vanished.items():
        bucket = int(bucket_of(hash_segments([segment]), plan.buckets)[0])
        known.setdefault(bucket, []).append(Outcome(segment, "skipped", reason))
    staged = [file for receipt in receipts for file in receipt.ledger]
    for bucket, rows in known.items():
        staged += stage_outcomes(run.context, rows, bucket)
    run.table(OUTCOMES).replace(staged, lambda file: file.partition["run_id"] == run.context.run_id)


def _commit_models(run: Run, receipts: Sequence[TrainReceipt], version: int) -> None:
    """Commit the models of the buckets that were trained; the others stay as they are."""
    done = {str(receipt.bucket) for receipt in receipts}

    def outdated(file: StagedFile) -> bool:
        return file.partition["bucket"] in done

    if receipts:
        check_lease(run.context.lake, run.fleet.name)
        run.table(LEADERBOARD).replace([file for receipt in receipts for file in receipt.leaderboard], outdated)
        staged = [file for receipt in receipts for file in receipt.challengers]
        based_on = version if version >= 0 else None
        note = {"run_id": run.context.run_id}
        run.table(CHALLENGERS).replace(staged, outdated, based_on=based_on, note=note)
