"""A run of all stages: the body of the flow `pipeline`, which also runs without Prefect if there is nothing to do."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.compute.progress import PeakMemory, Progress, emit
from domain.reporting.summary import StageTime
from flows.session import Session
from flows.stages import STAGES, PipelineState, Stage
from flows.tasks import as_task
from tasks.reporting.mlflow_record import record_run
from tasks.reporting.report import Stages, write_report

__all__ = ["PipelineResult", "run_stages"]

_report, _record = as_task(write_report), as_task(record_run, "record in MLflow")
_SAMPLE_S = 0.5


@dataclass(frozen=True)
class PipelineResult:
    """Results of a whole run, and the path of its report."""

    run_id: str
    stages: Stages
    report: Path


def run_stages(session: Session, arguments: tuple[str, str | None, str], *, recorded: bool) -> PipelineResult:
    """Run all stages and write the report.

    recorded : stages that have a flow of their own run as such.
    A failure of the fleet's sink is raised at the end, when everything else is done.
    """
    began, state = datetime.now(UTC), PipelineState(session, arguments, recorded=recorded)
    with _peak_memory() as memory:
        times = tuple(_timed(stage, state) for stage in STAGES)
        stages = _stages(state.results, times, began, memory.sample())
        folder = session.settings.path(session.settings.reports)
        report = _report(session.run, stages, state.results["evaluate"], folder)
    if recorded:
        _record(session.run, session.registry, report)
    if failure := state.results.get("undelivered"):
        raise failure
    return PipelineResult(session.run.context.run_id, stages, report)


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
