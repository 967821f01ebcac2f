"""Flow `pipeline`: raw files to committed predictions and a report."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from adapters.compute.progress import PeakMemory, Progress, emit
from adapters.registry import Registry
from domain.errors import RegistryError
from domain.reporting.summary import StageTime
from flows.accuracy import accuracy
from flows.ingest import ingest
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.partition import partition
from flows.promote import promote
from flows.score import score
from flows.session import new_run_id, open_session, run_name
from flows.tasks import as_task
from flows.train import register, train
from tasks.plan import estimate_training
from tasks.reporting.report import Stages, evaluate_predictions, write_report

__all__ = ["PipelineResult", "pipeline"]

_estimate, _evaluate, _report = as_task(estimate_training), as_task(evaluate_predictions), as_task(write_report)

T = TypeVar("T")
_SAMPLE_S = 0.5


@dataclass(frozen=True)
class PipelineResult:
    """What a whole run came to, and where its report is."""

    run_id: str
    stages: Stages
    report: Path


class _Timings:
    """Runs stages one after another and keeps how long each took."""

    def __init__(self) -> None:
        self.stages: list[StageTime] = []

    def run(self, name: str, work: Callable[[], T], rows: Callable[[T], int]) -> T:
        began = time.perf_counter()
        emit(Progress(name, 0, 0))
        result = work()
        self.stages.append(StageTime(name, round(time.perf_counter() - began, 3), rows(result)))
        return result


@flow(name="pipeline", flow_run_name=run_name)
def pipeline(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> PipelineResult:
    """Ingest, partition, train, register, promote, score and report."""
    began, timings, run_id = datetime.now(UTC), _Timings(), run_id or new_run_id()
    with (
        open_session(fleet, lake, run_id, exclusive=True) as session,
        _peak_memory() as memory,
        _one_heartbeat(),
        _opened_early(session.registry),
    ):
        read = timings.run("ingest", lambda: ingest(fleet, lake, run_id), lambda receipt: receipt.read)
        timings.run("partition", lambda: partition(fleet, lake, run_id), lambda summary: summary.accepted)
        workers, reports = session.settings.workers, session.settings.path(session.settings.reports)
        folder = reports / session.run.fleet.name
        estimate = timings.run("plan", lambda: _estimate(session.run, workers, folder), lambda found: 0)
        trained = timings.run("train", lambda: train(fleet, lake, run_id), lambda summary: summary.rows)
        registered = timings.run("register", lambda: register(fleet, lake, run_id), lambda s: s.registered)
        promoted = timings.run("promote", lambda: promote(fleet, lake, run_id), lambda s: s.promoted)
        scored = timings.run("score", lambda: score(fleet, lake, run_id), lambda summary: summary.rows)
        timings.run("accuracy", lambda: accuracy(fleet, lake, run_id), lambda summary: summary.rows)
        test = timings.run(
            "evaluate",
            lambda: _evaluate(session.run, scored.job_id),
            lambda found: found.rows if found else 0,
        )
        took = tuple(timings.stages)
        stages = Stages(trained, registered, promoted, scored, took, began, memory.sample(), read, estimate)
        report = _report(session.run, stages, test, reports)
    return PipelineResult(run_id, stages, report)


@contextmanager
def _one_heartbeat() -> Iterator[None]:
    """Flows within this one send none: theirs say nothing new, and ending one takes a second."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@contextmanager
def _opened_early(registry: Registry) -> Iterator[None]:
    """Opens the registry while the first stages are at work elsewhere: importing MLflow takes seconds."""

    def open_it() -> None:
        # Whoever needs it meets the same error, and tells it.
        with suppress(RegistryError):
            registry.path  # noqa: B018 - connects

    opener = threading.Thread(target=open_it, name="open-registry")
    opener.start()
    try:
        yield
    finally:
        opener.join()


@contextmanager
def _peak_memory() -> Iterator[PeakMemory]:
    """Samples the memory of all our processes while the block runs."""
    memory, done = PeakMemory(), threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            memory.sample()

    watcher = threading.Thread(target=watch, name="peak-memory", daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        done.set()
        watcher.join()
