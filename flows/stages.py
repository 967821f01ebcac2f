"""Single stages for the command line: each runs its flow, and tells what came of it as a document."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from flows.ingest import ingest
from flows.partition import partition
from flows.promote import promote
from flows.session import new_run_id, open_session
from flows.train import register, train

__all__ = ["StageName", "StageResult", "document", "run_stage"]

StageName = Literal["ingest", "partition", "train", "promote"]

_FLOWS: Mapping[StageName, Mapping[str, Callable[[str, str | None, str], Any]]] = {
    "ingest": {"ingest": ingest},
    "partition": {"partition": partition},
    "train": {"train": train, "register": register},
    "promote": {"promote": promote},
}


@dataclass(frozen=True)
class StageResult:
    """What a stage came to. stages : flow -> its figures."""

    fleet: str
    run_id: str
    seconds: float
    stages: Mapping[str, Mapping[str, object]]


def run_stage(name: StageName, fleet: str, lake: str | None) -> StageResult:
    """Run a stage; train also registers, under the same run id and with the same workers."""
    run_id, began = new_run_id(), time.perf_counter()
    with open_session(fleet, lake, run_id, exclusive=name in ("train", "promote")) as session:
        done = {flow: document(run(fleet, lake, run_id)) for flow, run in _FLOWS[name].items()}
    return StageResult(session.run.fleet.name, run_id, round(time.perf_counter() - began, 3), done)


def document(summary: Any) -> dict[str, object]:
    """Figures of a summary by name; verdicts by gate, where one that only advises does not fail but notes."""
    figures = {item.name: getattr(summary, item.name) for item in fields(summary)}
    counts = figures.get("gates")
    if counts is not None:
        gates: dict[str, dict[str, object]] = {}
        for (gate, passed, decisive), count in counts.items():
            verdicts = gates.setdefault(gate, {"passed": 0, "failed" if decisive else "noted": 0})
            verdicts["passed" if passed else "failed" if decisive else "noted"] = count
        figures["gates"] = gates
    return figures
