"""Run single stages for the command line, and return their results as documents."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flows.bodies.in_process import run_in_process
from flows.session import Session, new_run_id, open_session
from flows.stages import PipelineState, commands

__all__ = ["StageResult", "document", "look_at_stage", "run_stage"]


@dataclass(frozen=True)
class StageResult:
    """Result of a command. stages : flow -> its figures."""

    fleet: str
    run_id: str
    seconds: float
    stages: Mapping[str, Mapping[str, object]]


def run_stage(command: str, fleet: str, lake: str | None, run_id: str | None = None) -> StageResult:
    """Run the stages of a command; `train` also registers, under the same run id and with the same workers."""
    run_id = run_id or new_run_id()
    with open_session(fleet, lake, run_id, exclusive=_is_exclusive(command)) as session:
        return _results(command, PipelineState(session, (fleet, lake, run_id)))


def look_at_stage(command: str, fleet: str, lake: str | None, run_id: str) -> StageResult | None:
    """Run the stages of a command in this process, without Prefect; None if there is work for workers."""

    def stages(session: Session) -> StageResult:
        return _results(command, PipelineState(session, (fleet, lake, run_id), recorded=False))

    small = frozenset({"promote"}) if command == "promote" else frozenset[str]()
    return run_in_process(stages, fleet, lake, run_id, exclusive=_is_exclusive(command), small=small)


def _is_exclusive(command: str) -> bool:
    return any(stage.exclusive for stage in commands()[command])


def _results(command: str, state: PipelineState) -> StageResult:
    began = time.perf_counter()
    documents = {stage.name: document(stage.run(state)) for stage in commands()[command]}
    seconds = round(time.perf_counter() - began, 3)
    return StageResult(state.session.run.fleet.name, state.arguments[2], seconds, documents)


def document(summary: Any) -> dict[str, object]:
    """Return the figures of a summary by name, and verdicts by gate: an advisory gate notes instead of failing."""
    figures = {item.name: getattr(summary, item.name) for item in fields(summary)}
    counts = figures.get("gates")
    if counts is not None:
        gates: dict[str, dict[str, object]] = {}
        for (gate, passed, decisive), count in counts.items():
            verdicts = gates.setdefault(gate, {"passed": 0, "failed" if decisive else "noted": 0})
            verdicts["passed" if passed else "failed" if decisive else "noted"] = count
        figures["gates"] = gates
    return figures
