"""Estimates calibrated on the fleet itself: by a measured sample, or by the times of a previous run.

`domain/capacity/estimate.py` has the figures for fleets without either.
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
"""Per model, in bulk on SQLite, as `python -m benchmarks.fleet` prints for large fleets."""
_MOST = 20.0
"""Largest factor by which a previous run corrects the built-in figures."""


def by_cost_model(plain: Estimate, costs: CostModel, train: Sequence[Work], score: Sequence[Work]) -> Estimate:
    """Replace the built-in figures by those of a cost model; train, score : tasks of the estimated run."""
    seconds = [costs.train.of(work) for work in train]
    first = costs.first_seconds if seconds else 0.0
    peaks = costs.peak_bytes(train, score)[: plain.workers]
    estimate = replace(
        plain,
        train_seconds=STAGE_SECONDS + costs.commit_seconds + first + makespan(seconds, plain.workers),
        peak_memory_bytes=OWN_BYTES + sum(peaks) + (plain.workers - len(peaks)) * costs.idle_bytes,
        basis=f"myriad size of {format_timestamp(costs.measured_at)}",
    )
    if costs.score is None:
        return estimate
    scoring = makespan([costs.score.of(work) for work in score], plain.workers)
    return replace(estimate, score_seconds=STAGE_SECONDS + scoring)


def by_previous_run(plain: Estimate, previous: Summary, built_in: Estimate) -> Estimate:
    """Correct the estimate by the times of a previous run; built_in : the built-in figures for that run."""
    took = {stage.name: stage.seconds for stage in previous.stages}

    def corrected(now: float, before: float, actual: float | None) -> float:
        # The time of a short stage is its own overhead rather than that of its segments.
        if actual is None or min(actual, before) < 2 * STAGE_SECONDS:
            return now
        factor = (actual - STAGE_SECONDS) / (before - STAGE_SECONDS)
        return STAGE_SECONDS + (now - STAGE_SECONDS) * min(max(factor, 1 / _MOST), _MOST)

    return replace(
        plain,
        train_seconds=corrected(plain.train_seconds, built_in.train_seconds, took.get("train")),
        score_seconds=corrected(plain.score_seconds, built_in.score_seconds, took.get("score")),
        peak_memory_bytes=round(plain.peak_memory_bytes * previous.peak_rss_bytes / built_in.peak_memory_bytes),
        basis=f"run {previous.run_id}",
    )


def trained_most(run: Summary) -> bool:
    """Return True if a run trained at least half of the fleet, so that its times are representative."""
    return 2 * run.outcomes.trained >= run.segments > 0


def is_newer(run: Summary, costs: CostModel) -> bool:
    """Return True if the run ended after the costs were measured."""
    return datetime.fromisoformat(run.finished_at) > datetime.fromisoformat(costs.measured_at)


def compare_with_actual(
    estimate: Estimate | None, stages: Sequence[StageTime], peak_bytes: int
) -> dict[str, EstimatedFigure]:
    """Each estimated figure beside the actual one; stages that did not take place are left out."""
    if estimate is None:
        return {}
    took: Mapping[str, float] = {stage.name: stage.seconds for stage in stages}
    pairs = {
        "train_seconds": (estimate.train_seconds, took.get("train")),
        "score_seconds": (estimate.score_seconds, took.get("score")),
        "peak_memory_bytes": (estimate.peak_memory_bytes, peak_bytes),
    }
    return {
        name: EstimatedFigure(estimated, actual, actual / estimated if estimated else None)
        for name, (estimated, actual) in pairs.items()
        if actual is not None
    }


def serial_parts(models: int, coordination_seconds: float, previous: Summary | None) -> list[SerialPart]:
    """The parts that one process does, however many workers there are.

    Parameters
    ----------
    models : to register and promote.
    coordination_seconds : measured time of plan and commits.
    previous : a run that trained most of the fleet.
    """
    parts = [SerialPart("plan and commits", 2 * STAGE_SECONDS + coordination_seconds, "measured, and two flows")]
    took = {stage.name: stage.seconds for stage in previous.stages} if previous else {}
    for name, each_ms in (("register", _REGISTER_MS), ("promote", _PROMOTE_MS)):
        if previous and name in took:
            parts.append(SerialPart(name, took[name], f"as in run {previous.run_id}"))
        else:
            parts.append(SerialPart(name, STAGE_SECONDS + models * each_ms / 1e3, "typical, not measured"))
    return parts
