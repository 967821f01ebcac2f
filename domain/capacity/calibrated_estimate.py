"""What a run will take, learnt from the fleet itself: from a measured sample, or from what a former run took.

`domain/capacity/estimate.py` has the figures of fleets that nothing is known of yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from domain.capacity.cost_model import CostModel, Work
from domain.capacity.estimate import OWN_BYTES, STAGE_SECONDS
from domain.capacity.makespan import makespan
from domain.capacity.recommendation import SerialPart
from domain.checks.findings import Estimate
from domain.reporting.formatting import format_timestamp
from domain.reporting.summary import EstimatedFigure, StageTime, Summary

__all__ = ["by_cost_model", "by_previous_run", "compare_with_actual", "is_newer", "serial_parts", "trained_most"]

_REGISTER_MS = 1.2
_PROMOTE_MS = 0.2
"""A model, in bulk on SQLite; what `python -m benchmarks.fleet` prints for large fleets."""
_MOST = 20.0
"""Factor by which a former run may correct the built-in figures."""


def by_cost_model(plain: Estimate, rates: CostModel, train: Sequence[Work], score: Sequence[Work]) -> Estimate:
    """The estimate by measured rates. train, score : tasks of the run that is estimated."""
    seconds = [rates.train.of(work) for work in train]
    begin = rates.first_seconds if seconds else 0.0
    peaks = rates.peak_bytes(train, score)[: plain.workers]
    found = replace(
        plain,
        train_seconds=STAGE_SECONDS + rates.commit_seconds + begin + makespan(seconds, plain.workers),
        peak_memory_bytes=OWN_BYTES + sum(peaks) + (plain.workers - len(peaks)) * rates.idle_bytes,
        basis=f"myriad size of {format_timestamp(rates.measured_at)}",
    )
    if rates.score is None:
        return found
    scoring = makespan([rates.score.of(work) for work in score], plain.workers)
    return replace(found, score_seconds=STAGE_SECONDS + scoring)


def by_previous_run(plain: Estimate, former: Summary, then: Estimate) -> Estimate:
    """The estimate corrected by what a former run took. then : the built-in figures for that run."""
    took = {stage.name: stage.seconds for stage in former.stages}

    def corrected(now: float, before: float, actual: float | None) -> float:
        # Short stages tell of their own overhead, not of the segments.
        if actual is None or min(actual, before) < 2 * STAGE_SECONDS:
            return now
        factor = (actual - STAGE_SECONDS) / (before - STAGE_SECONDS)
        return STAGE_SECONDS + (now - STAGE_SECONDS) * min(max(factor, 1 / _MOST), _MOST)

    return replace(
        plain,
        train_seconds=corrected(plain.train_seconds, then.train_seconds, took.get("train")),
        score_seconds=corrected(plain.score_seconds, then.score_seconds, took.get("score")),
        peak_memory_bytes=round(plain.peak_memory_bytes * former.peak_rss_bytes / then.peak_memory_bytes),
        basis=f"run {former.run_id}",
    )


def trained_most(run: Summary) -> bool:
    """Whether a run trained so much of the fleet that its times tell of the whole."""
    return 2 * run.outcomes.trained >= run.segments > 0


def is_newer(run: Summary, rates: CostModel) -> bool:
    """Whether the run ended after the rates were measured."""
    return datetime.fromisoformat(run.finished_at) > datetime.fromisoformat(rates.measured_at)


def compare_with_actual(
    estimate: Estimate | None, stages: Sequence[StageTime], peak_bytes: int
) -> dict[str, EstimatedFigure]:
    """Each estimated figure beside what it came to; those of stages that did not take place are left out."""
    if estimate is None:
        return {}
    took: Mapping[str, float] = {stage.name: stage.seconds for stage in stages}
    pairs = {
        "train_seconds": (estimate.train_seconds, took.get("train")),
        "score_seconds": (estimate.score_seconds, took.get("score")),
        "peak_memory_bytes": (estimate.peak_memory_bytes, peak_bytes),
    }
    return {
        name: EstimatedFigure(told, actual, actual / told if told else None)
        for name, (told, actual) in pairs.items()
        if actual is not None
    }


def serial_parts(models: int, coordination_seconds: float, former: Summary | None) -> list[SerialPart]:
    """What one process does, however many workers there are. models : to register and promote.

    coordination_seconds : plan and commits, measured. former : a run that trained most of the fleet.
    """
    parts = [SerialPart("plan and commits", 2 * STAGE_SECONDS + coordination_seconds, "measured, and two flows")]
    took = {stage.name: stage.seconds for stage in former.stages} if former else {}
    for name, each_ms in (("register", _REGISTER_MS), ("promote", _PROMOTE_MS)):
        if former and name in took:
            parts.append(SerialPart(name, took[name], f"as in run {former.run_id}"))
        else:
            parts.append(SerialPart(name, STAGE_SECONDS + models * each_ms / 1e3, "typical, not measured"))
    return parts
