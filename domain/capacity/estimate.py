"""Estimate a run by a linear model of segments, candidates, folds and rows, accurate to a factor of about two."""

from domain.checks.findings import Estimate
from domain.config.fleet import Fleet
from domain.data.fallback_levels import MAX_FALLBACK_ROWS
from domain.data.partitioning import bucket_count

__all__ = ["OWN_BYTES", "STAGE_SECONDS", "estimate_run"]

# Measured on the machine that the costs in `domain/config/candidates.py` were measured on. A fit is one segment at one
# forecast origin: every candidate is fitted at each fold and once on all rows.
_EXPORT_MS = 0.6
_SHORT_PERIODS, _PERIOD_US = 300, 0.5
"""Periods of a series that `fit_ms` covers, and the time of each further one: recursions go through all of them."""
_SCORE_MS = 1.5
STAGE_SECONDS = 0.5
"""Time of a stage without work: flow, workers, commits."""

OWN_BYTES = 680 * 2**20
"""The command with Prefect and MLflow, Prefect's server, the nannies: oj peaks at 1.2 GiB with 2 workers."""
_WORKER_BYTES = 260 * 2**20
_COPIES = 5
"""Copies of a task's rows as float64: table, panel, features, folds."""
_MOST_FEATURE_ROWS = 4_096
_OWN_FEATURES = 16
"""Lags, windows and calendar terms of a forecast fleet, roughly."""

_CELL_DISK_BYTES = 3
"""One column of one row, compressed, in `landed` and `observations` together."""
_MODEL_DISK_BYTES = 2_500
_TREES_DISK_BYTES = 60_000
_PREDICTION_DISK_BYTES = 18


def estimate_run(
    fleet: Fleet, *, segments: int, levels: int, rows: int, scored: int, workers: int, scoring: int | None = None
) -> Estimate:
    """Estimate a run.

    Parameters
    ----------
    segments, levels : segments and fallback models to train.
    rows : to train on.
    scored : predictions to make.
    workers : processes that train at the same time.
    scoring : models that score; default: those that are trained.
    """
    models, folds = segments + levels, fleet.backtest.folds
    scoring = models if scoring is None else scoring
    level_rows = 0 if fleet.task_type.periodic else len(fleet.fallback) * min(rows, MAX_FALLBACK_ROWS)
    heavy_rows = 0 if fleet.task_type.periodic else rows + level_rows
    costs = [candidate.spec.cost[fleet.task] for candidate in fleet.candidates]
    per_fit = sum(models * cost.fit_ms / 1e3 + heavy_rows * cost.row_us / 1e6 for cost in costs)
    if fleet.task_type.periodic:
        per_fit += len(costs) * max(0, rows - _SHORT_PERIODS * models) * _PERIOD_US / 1e6
    busy = max(1, min(workers, models))
    columns = 3 + len(fleet.features.numeric) + len(fleet.features.categorical)
    families = {candidate.spec.family for candidate in fleet.candidates}
    model_bytes = _TREES_DISK_BYTES if "estimator" in families else _MODEL_DISK_BYTES
    return Estimate(
        models=models,
        levels=levels,
        backtest_fits=models * len(fleet.candidates) * folds,
        train_seconds=STAGE_SECONDS + (per_fit * (folds + 1) + models * _EXPORT_MS / 1e3) / busy,
        score_seconds=STAGE_SECONDS + scoring * _SCORE_MS / 1e3 / max(1, min(workers, scoring)),
        peak_memory_bytes=OWN_BYTES + workers * _WORKER_BYTES + _task_bytes(fleet, segments, rows, level_rows, busy),
        lake_bytes=rows * columns * _CELL_DISK_BYTES + models * model_bytes + scored * _PREDICTION_DISK_BYTES,
        workers=workers,
    )


def _task_bytes(fleet: Fleet, segments: int, rows: int, level_rows: int, busy: int) -> int:
    """Memory of the rows that the workers hold at the same time."""
    values = len(fleet.features.numeric) + fleet.features.max_levels * len(fleet.features.categorical) + 3
    buckets = bucket_count(max(segments, 1), rows)
    per_task = rows // buckets
    held = min(rows, busy * per_task) if not level_rows else level_rows + (busy - 1) * per_task
    cells = held * values
    if fleet.task_type.periodic and any(c.spec.family != "smoothing" for c in fleet.candidates):
        # Long series are trained on their newest origins only.
        most = max(1, busy * segments // buckets) * max(_MOST_FEATURE_ROWS, 8 * fleet.steps)
        cells += min(held * fleet.steps, most) * (values + _OWN_FEATURES)
    return cells * 8 * _COPIES
