"""Flow `pipeline`: raw files to committed predictions and a report."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from adapters.compute.progress import PeakMemory, Progress, emit
from adapters.registry import Registry
from domain.errors import RegistryError
from domain.reporting.summary import StageTime
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.session import new_run_id, open_session, run_name
from flows.stages import STAGES, PipelineState, Stage
from flows.tasks import as_task
from tasks.reporting.report import Stages, write_report

__all__ = ["PipelineResult", "pipeline"]

_report = as_task(write_report)
_SAMPLE_S = 0.5


@dataclass(frozen=True)
class PipelineResult:
    """Results of a whole run, and the path of its report."""

    run_id: str
    stages: Stages
    report: Path


@flow(name="pipeline", flow_run_name=run_name)
def pipeline(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> PipelineResult:
    """Ingest, partition, train, register, promote, score and report.

    A failure of the fleet's sink is raised at the end, when everything else is done.
    """
    began, run_id = datetime.now(UTC), run_id or new_run_id()
    with (
        open_session(fleet, lake, run_id, exclusive=True) as session,
        _peak_memory() as memory,
        _one_heartbeat(),
        _opened_early(session.registry),
    ):
        state = PipelineState(session, (fleet, lake, run_id))
        times = tuple(_timed(stage, state) for stage in STAGES)
        stages = _stages(state.results, times, began, memory.sample())
        report = _report(
            session.run, stages, state.results["evaluate"], session.settings.path(session.settings.reports)
        )
    if failure := state.results.get("undelivered"):
        raise failure
    return PipelineResult(run_id, stages, report)


def _timed(stage: Stage, state: PipelineState) -> StageTime:
    """Run a stage, store its result in the state, and return its time and rows."""
    began = time.perf_counter()
    emit(Progress(stage.name, 0, 0))
    result = state.results[stage.name] = stage.run(state)
    return StageTime(stage.name, round(time.perf_counter() - began, 3), stage.rows(result))


def _stages(results: Mapping[str, Any], times: tuple[StageTime, ...], began: datetime, peak_bytes: int) -> Stages:
    return Stages(
        results["train"],
        results["register"],
        results["promote"],
        results["score"],
        times,
        began,
        peak_bytes,
        results["ingest"],
        results["plan"],
    )


@contextmanager
def _one_heartbeat() -> Iterator[None]:
    """Switch off the heartbeats of flows within this one: they add nothing, and ending one takes a second."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@contextmanager
def _opened_early(registry: Registry) -> Iterator[None]:
    """Open the registry while workers run the first stages: importing MLflow takes seconds."""

    def open_it() -> None:
        # The stage that needs the registry meets the same error, and reports it.
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
    """Sample the memory of all processes of the run while the block runs."""
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
