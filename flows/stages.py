"""The stages of a run, in order, and the operations beside them: one list that everything else reads.

To add a stage, write its function in `tasks/`, its flow in `flows/`, and one entry of STAGES: pipeline, deployments,
prefect.yaml, the commands for single stages and docs/operations.md follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

from adapters.orchestration.cadence import Cadence
from domain.errors import DatabaseError
from flows.bodies import steps
from flows.session import Session
from flows.tasks import as_task
from tasks.plan import estimate_training
from tasks.reporting.report import evaluate_predictions

if TYPE_CHECKING:
    from prefect import Flow

__all__ = ["OPERATIONS", "STAGES", "Operation", "PipelineState", "Stage", "commands"]

Collision = Literal["ENQUEUE", "CANCEL_NEW"]
Group = Literal["pipeline", "stage", "by-hand", "upkeep", "alert"]
_estimate, _evaluate = as_task(estimate_training), as_task(evaluate_predictions)


@dataclass(frozen=True)
class PipelineState:
    """State that the stages of a pipeline share. arguments : fleet, lake and run id. results : of earlier stages.

    recorded : stages with a flow of their own run as such, and Prefect records them.
    """

    session: Session
    arguments: tuple[str, str | None, str]
    results: dict[str, Any] = field(default_factory=dict)
    recorded: bool = True


@dataclass(frozen=True)
class Operation:
    """A flow that people and schedules start on its own.

    Parameters
    ----------
    entry : place of the flow, `module:function`: a run that needs no flow does not import Prefect.
    cadence : schedule, paused at first; None for a flow started by hand or by an automation.
    collision : fate of a run while another one of the deployment is at work; None: both run.
    by_name : the flow takes the fleet's name instead of the fleet file.
    note : comment in prefect.yaml.
    group : tag of its deployments, by which Prefect's UI shows them together.
    """

    entry: str
    cadence: Cadence | None = None
    collision: Collision | None = None
    by_name: bool = False
    note: str = ""
    group: Group = "stage"

    @property
    def flow(self) -> "Flow[..., Any]":
        """The flow itself."""
        return resolve_name(self.entry)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Stage:
    """One step of a pipeline.

    Parameters
    ----------
    name : name in progress, report and estimate.
    rows : number of rows of its result, for the report.
    step : what it does, also without Prefect.
    operation : its flow and schedule; None for a step that runs only inside a pipeline.
    as_flow : the pipeline calls the operation's flow instead of the step, where Prefect is.
    command : command that runs it, together with the other stages of that command.
    exclusive : the command holds the fleet's lease meanwhile.
    """

    name: str
    rows: Callable[[Any], int]
    step: Callable[[PipelineState], Any]
    operation: Operation | None = None
    as_flow: bool = True
    command: str | None = None
    exclusive: bool = False

    def run(self, state: PipelineState) -> Any:
        """Run the stage: as a flow of its own if it is to be recorded, else as a plain function."""
        if self.operation is None or not self.as_flow or not state.recorded:
            return self.step(state)
        return self.operation.flow(*state.arguments)


def _of(step: Callable[[Session], Any]) -> Callable[[PipelineState], Any]:
    return lambda state: step(state.session)


def _plan(state: PipelineState) -> Any:
    run, settings = state.session.run, state.session.settings
    return _estimate(run, settings.workers, settings.path(settings.reports) / run.fleet.name)


def _score(state: PipelineState) -> Any:
    """Score, and deliver at once; a sink that fails must not cost the stages that follow."""
    if state.recorded:
        summary = resolve_name("flows.score:score")(*state.arguments, deliver=False)
    else:
        summary = steps.score_job(state.session)
    try:
        return steps.deliver(state.session, summary)
    except DatabaseError as exc:
        state.results["undelivered"] = exc
    return summary


def _compare_with_test(state: PipelineState) -> Any:
    return _evaluate(state.session.run, state.results["score"].job_id)


STAGES: tuple[Stage, ...] = (
    Stage(
        "ingest",
        lambda receipt: int(receipt.read),
        _of(steps.ingest),
        Operation("flows.ingest:ingest", Cadence("hourly", "5 * * * *")),
        command="ingest",
    ),
    Stage(
        "partition",
        lambda summary: int(summary.accepted),
        _of(steps.partition),
        Operation("flows.partition:partition", Cadence("nightly", "30 1 * * *")),
        command="partition",
    ),
    Stage("plan", lambda estimate: 0, _plan),
    Stage(
        "train",
        lambda summary: int(summary.rows),
        _of(steps.train),
        Operation(
            "flows.train:train",
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
        _of(steps.register),
        Operation("flows.train:register", Cadence("nightly", "0 4 * * *")),
        command="train",
        exclusive=True,
    ),
    Stage(
        "promote",
        lambda summary: int(summary.promoted),
        _of(steps.promote),
        Operation(
            "flows.promote:promote",
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
        _score,
        Operation(
            "flows.score:score",
            Cadence("daily", "0 5 * * *"),
            "ENQUEUE",
            note="One job after another: the one that waits takes the inputs that have come since.",
        ),
        as_flow=False,
    ),
    Stage(
        "accuracy",
        lambda summary: int(summary.rows),
        _of(steps.accuracy),
        Operation("flows.accuracy:accuracy", Cadence("daily", "0 6 * * *")),
    ),
    Stage("evaluate", lambda metric: int(metric.rows) if metric else 0, _compare_with_test),
)
"""The stages of the pipeline, from raw files to predictions compared with actuals."""

OPERATIONS: tuple[Operation, ...] = (
    Operation("flows.promote:rollback", collision="ENQUEUE", note="By hand: -p to=RELEASE", group="by-hand"),
    Operation("flows.promote:pin", collision="ENQUEUE", note="By hand.", group="by-hand"),
    Operation("flows.promote:unpin", collision="ENQUEUE", note="By hand.", group="by-hand"),
    Operation("flows.score:backfill", note="By hand: -p start=2024-01-31 -p end=2024-12-31", group="by-hand"),
    Operation("flows.sync_registry:sync_registry", Cadence("weekly", "0 8 * * 0"), group="upkeep"),
    Operation("flows.maintain:maintain", Cadence("weekly", "0 9 * * 0"), "CANCEL_NEW", by_name=True, group="upkeep"),
    Operation("flows.alert:alert", note='By automations, or by hand: -p what="look at this"', group="alert"),
)
"""Flows outside the pipeline."""


def commands() -> Mapping[str, tuple[Stage, ...]]:
    """Return the stages of every command that runs single stages."""
    names = dict.fromkeys(stage.command for stage in STAGES if stage.command)
    return {name: tuple(stage for stage in STAGES if stage.command == name) for name in names}
