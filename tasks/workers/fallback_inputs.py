"""Inputs of the fallback chain from the lake: models and rows of the levels, and outcomes of the last training."""

import logging
from threading import Lock

from cachetools import LRUCache, cached

from domain.data.fallback_levels import fallback_observations
from domain.data.model_record import Champion
from domain.data.segments import FALLBACK_BUCKET
from domain.data.tables import CHAMPIONS, OUTCOMES, levels
from models.inference.history import History
from models.inference.loaded_models import LoadedModels
from tasks.workers.run_context import RunContext, in_bucket, of_release, read_models
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["level_history", "level_models", "newest_outcomes", "warn_of_refused"]

log = logging.getLogger(__name__)


def _models_key(context: RunContext, request: ScoringRequest) -> tuple[str, ...]:
    files = context.table(CHAMPIONS).files(of_release(request.release, FALLBACK_BUCKET))
    return (context.table(CHAMPIONS).uri, *(file.path for file in files))


@cached(LRUCache(maxsize=1), key=_models_key, lock=Lock())
def level_models(context: RunContext, request: ScoringRequest) -> LoadedModels[Champion]:
    """Models of the fallback levels, which every bucket may need; a worker loads them once."""
    models = read_models(context, CHAMPIONS, of_release(request.release, FALLBACK_BUCKET), Champion)
    return warn_of_refused(context, LoadedModels(models))


def warn_of_refused(context: RunContext, models: LoadedModels[Champion]) -> LoadedModels[Champion]:
    """Log every champion that is not run because its graph is not the one that was trained; returns the models."""
    for key, failure in models.refused.items():
        log.warning("fleet %s, %s: its champion is not run: %s", context.fleet.name, key, failure.reason)
    return models


def _history_key(context: RunContext, request: ScoringRequest) -> tuple[str, int, str, str]:
    table = context.table(levels(context.fleet))
    return table.uri, table.version(), context.fleet.model_dump_json(), str(request.as_of)


@cached(LRUCache(maxsize=1), key=_history_key, lock=Lock())
def level_history(context: RunContext, request: ScoringRequest) -> History:
    """Series of the levels; every bucket of a job needs the same ones, so a worker sums them up once."""
    # Before they are summed up by period: rows of one period may bear different dates.
    known = request.point_in_time.known(context.table(levels(context.fleet)).read())
    return History(fallback_observations(known, context.fleet), context.fleet.clock)


def newest_outcomes(context: RunContext, bucket: int) -> dict[str, tuple[str, str]]:
    """Outcome and reason of every segment in the bucket's newest training."""
    table = context.table(OUTCOMES)
    files = table.files(in_bucket(bucket))
    newest = max(files, key=lambda file: file.committed_ms, default=None)
    of_run = [file for file in files if newest and file.partition["run_id"] == newest.partition["run_id"]]
    rows = table.read_files(of_run, ["segment", "outcome", "reason"]).to_pylist()
    return {row["segment"]: (row["outcome"], row["reason"]) for row in rows}
