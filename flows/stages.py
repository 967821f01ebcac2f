"""The stages of a run, in order, and the operations beside them: one list that everything else reads.

To add a stage, write its function in `tasks/`, its flow in `flows/`, and one entry of STAGES: pipeline, deployments,
prefect.yaml, the commands for single stages and docs/operations.md follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from prefect import Flow

from adapters.orchestration.deployments import Cadence
from domain.errors import DatabaseError
from flows.accuracy import accuracy
from flows.alert import alert
from flows.ingest import ingest
from flows.maintain import maintain
from flows.partition import partition
from flows.promote import pin, promote, rollback, unpin
from flows.score import backfill, score, to_sink
from flows.session import Session
from flows.sync_registry import sync_registry
from flows.tasks import as_task
from flows.train import register, train
from tasks.plan import estimate_training
from tasks.reporting.report import evaluate_predictions

__all__ = ["OPERATIONS", "STAGES", "Operation", "PipelineState", "Stage", "commands"]

Collision = Literal["ENQUEUE", "CANCEL_NEW"]
_estimate, _evaluate = as_task(estimate_training), as_task(evaluate_predictions)


@dataclass(frozen=True)
class PipelineState:
    """State that the stages of a pipeline share. arguments : fleet, lake and run id. results : of earlier stages."""

    session: Session
    arguments: tuple[str, str | None, str]
    results: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A flow that people and schedules start on its own.

    Parameters
    ----------
    cadence : schedule, paused at first; None for a flow started by hand or by an automation.
    collision : fate of a run while another one of the deployment is at work; None: both run.
    by_name : the flow takes the fleet's name instead of the fleet file.
    note : comment in prefect.yaml.
    """

    flow: Flow[..., Any]
    cadence: Cadence | None = None
    collision: Collision | None = None
    by_name: bool = False
    note: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    Parameters
    ----------
    name : name in progress, report and estimate.
    rows : number of rows of its result, for the report.
    operation : its flow and schedule; None for a step that runs only inside a pipeline.
    work : function that the pipeline calls; by default the operation's flow.
    command : command that runs it, together with the other stages of that command.
    exclusive : the command holds the fleet's lease meanwhile.
    """

    name: str
    rows: Callable[[Any], int]
    operation: Operation | None = None
    work: Callable[[PipelineState], Any] | None = None
    command: str | None = None
    exclusive: bool = False

    def run(self, state: PipelineState) -> Any:
        """Run the stage as part of a pipeline."""
        if self.work is not None:
            return self.work(state)
        if self.operation is None:
            raise AssertionError(f"stage {self.name} has neither work nor a flow")
        return self.operation.flow(*state.arguments)


def _plan(state: PipelineState) -> Any:
    run, settings = state.session.run, state.session.settings
    return _estimate(run, settings.workers, settings.path(settings.reports) / run.fleet.name)


def _score(state: PipelineState) -> Any:
    """Score, and deliver at once; a sink that fails must not cost the stages that follow."""
    summary = score(*state.arguments, deliver=False)
    if state.session.run.fleet.sink:
        try:
            summary = replace(summary, delivery=to_sink(state.session.run))
        except DatabaseError as exc:
            state.results["undelivered"] = exc
    return summary


def _compare_with_test(state: PipelineState) -> Any:
    return _evaluate(state.session.run, state.results["score"].job_id)


STAGES: tuple[Stage, ...] = (
    Stage(
        "ingest",
        lambda receipt: int(receipt.read),
        Operation(ingest, Cadence("hourly", "5 * * * *")),
        command="ingest",
    ),
    Stage(
        "partition",
        lambda summary: int(summary.accepted),
        Operation(partition, Cadence("nightly", "30 1 * * *")),
        command="partition",
    ),
    Stage("plan", lambda estimate: 0, work=_plan),
    Stage(
        "train",
        lambda summary: int(summary.rows),
        Operation(
            train,
            Cadence("nightly", "0 2 * * *"),
            "CANCEL_NEW",
            note="A second training beside the first finds the same data; the next one takes in what has come since.",
        ),
        command="train",
        exclusive=True,
    ),
    Stage(
        "register",
        lambda summary: int(summary.registered),
        Operation(register, Cadence("nightly", "0 4 * * *")),
        command="train",
        exclusive=True,
    ),
    Stage(
        "promote",
        lambda summary: int(summary.promoted),
        Operation(
            promote,
            Cadence("nightly", "30 4 * * *"),
            "ENQUEUE",
            note="One release after another; the one that waits may judge newer challengers, so it is not dropped.",
        ),
        command="promote",
        exclusive=True,
    ),
    Stage(
        "score",
        lambda summary: int(summary.rows),
        Operation(
            score,
            Cadence("daily", "0 5 * * *"),
            "ENQUEUE",
            note="One job after another: the one that waits takes the inputs that have come since.",
        ),
        work=_score,
    ),
    Stage("accuracy", lambda summary: int(summary.rows), Operation(accuracy, Cadence("daily", "0 6 * * *"))),
    Stage("evaluate", lambda metric: int(metric.rows) if metric else 0, work=_compare_with_test),
)
"""The stages of the pipeline, from raw files to predictions compared with actuals."""

OPERATIONS: tuple[Operation, ...] = (
    Operation(rollback, collision="ENQUEUE", note="By hand: -p to=RELEASE"),
    Operation(pin, collision="ENQUEUE", note="By hand."),
    Operation(unpin, collision="ENQUEUE", note="By hand."),
    Operation(backfill, note="By hand: -p start=2024-01-31 -p end=2024-12-31"),
    Operation(sync_registry, Cadence("weekly", "0 8 * * 0")),
    Operation(maintain, Cadence("weekly", "0 9 * * 0"), "CANCEL_NEW", by_name=True),
    Operation(alert, note='By automations, or by hand: -p what="look at this"'),
)
"""Flows outside the pipeline."""


def commands() -> Mapping[str, tuple[Stage, ...]]:
    """Return the stages of every command that runs single stages."""
    names = dict.fromkeys(stage.command for stage in STAGES if stage.command)
    return {name: tuple(stage for stage in STAGES if stage.command == name) for name in names}
