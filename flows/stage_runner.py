"""Run single stages for the command line, and return their results as documents."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flows.session import new_run_id, open_session
from flows.stages import PipelineState, commands

__all__ = ["StageResult", "document", "run_stage"]


@dataclass(frozen=True)
class StageResult:
    """Result of a command. stages : flow -> its figures."""

    fleet: str
    run_id: str
    seconds: float
    stages: Mapping[str, Mapping[str, object]]


def run_stage(command: str, fleet: str, lake: str | None) -> StageResult:
    """Run the stages of a command; `train` also registers, under the same run id and with the same workers."""
    run_id, began, stages = new_run_id(), time.perf_counter(), commands()[command]
    with open_session(fleet, lake, run_id, exclusive=any(stage.exclusive for stage in stages)) as session:
        state = PipelineState(session, (fleet, lake, run_id))
        documents = {stage.name: document(stage.run(state)) for stage in stages}
    return StageResult(session.run.fleet.name, run_id, round(time.perf_counter() - began, 3), documents)


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
