"""What the commands and the Python API do to a fleet, each with its preparation; nothing is printed.

Each looks first whether there is work. Nothing heavy is imported before it is needed, and the environment is prepared
before Prefect reads it.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from domain.errors import RequestError

if TYPE_CHECKING:
    from flows.bodies.run_stages import PipelineResult
    from flows.session import Session
    from flows.stage_runner import StageResult
    from models.promotion.releases import PinSummary
    from tasks.accuracy import AccuracySummary
    from tasks.promote import PromoteSummary
    from tasks.score import ScoreSummary

__all__ = [
    "measure_accuracy",
    "pin_segment",
    "prepare_run",
    "roll_back",
    "run_all",
    "run_command",
    "run_commands",
    "score_fleet",
]

R = TypeVar("R")


def prepare_run(fleet: str, *, reads_input: bool = False) -> None:
    """Check the inputs of a run that Prefect records, and prepare for its server, before anything heavy starts."""
    check_run(fleet, reads_input=reads_input)
    prepare_flows()


def check_run(fleet: str, *, reads_input: bool = False) -> None:
    """Check the inputs of a run before anything heavy starts."""
    from adapters.lake.table import Lake
    from adapters.settings import Settings, quiet_telemetry
    from adapters.sources.fleet_files import load_fleet
    from adapters.sources.new_files import check_inputs

    quiet_telemetry()
    settings = Settings()
    definition = load_fleet(fleet, settings.home)
    if reads_input:
        check_inputs(Lake(settings.lake_uri), definition, settings.home)


def prepare_flows() -> None:
    """Join the running Prefect server, or set the defaults for one inside this process."""
    from adapters.orchestration.local_server import prepare_server
    from adapters.settings import Settings

    prepare_server(Settings())


def run_all(fleet: str, lake: str | None = None, segments: str | None = None) -> "PipelineResult":
    """Run all stages of a fleet. segments : pattern of those to train; by default all."""
    check_run(fleet, reads_input=True)
    from flows.bodies.in_process import run_in_process
    from flows.bodies.run_stages import run_stages
    from flows.session import new_run_id

    run_id = new_run_id()

    def all_stages(session: "Session") -> "PipelineResult":
        return run_stages(session, (fleet, lake, run_id), recorded=False)

    small = frozenset({"promote", "evaluate"})
    result = run_in_process(all_stages, fleet, lake, run_id, exclusive=True, small=small, part=segments)
    if result is not None:
        return result
    prepare_flows()
    from flows.pipeline import pipeline

    return pipeline(fleet, lake=lake, run_id=run_id, segments=segments)


def run_command(name: str, fleet: str, lake: str | None = None) -> "StageResult":
    """Run the stages of one command: ingest, partition, train or promote."""
    check_run(fleet, reads_input=name == "ingest")
    from flows.session import new_run_id
    from flows.stage_runner import look_at_stage, run_stage

    run_id = new_run_id()
    result = look_at_stage(name, fleet, lake, run_id)
    if result is not None:
        return result
    prepare_flows()
    return run_stage(name, fleet, lake, run_id)


def run_commands(names: Sequence[str], fleet: str, lake: str | None = None) -> "list[StageResult]":
    """Run the stages of several commands, one after the other."""
    return [run_command(name, fleet, lake) for name in names]


def score_fleet(
    fleet: str,
    lake: str | None = None,
    *,
    release: int | None = None,
    as_of: str | None = None,
    span: tuple[str | None, str | None] = (None, None),
    inputs: Sequence[str] | None = None,
) -> "list[ScoreSummary]":
    """Score a fleet; with both dates of a span, as of the end of each of its periods.

    Raises
    ------
    RequestError
        The options contradict each other.
    """
    first, last = span
    if inputs and first is not None:
        raise RequestError("--input is for a single job: omit --from and --to")
    if (first is None) != (last is None) or (first is not None and as_of is not None):
        raise RequestError("a backfill needs both --from and --to, and no --as-of")
    check_run(fleet)
    if first is not None and last is not None:
        prepare_flows()
        from flows.score import backfill

        return backfill(fleet, first, last, lake=lake, release=release)
    return [_score_once(fleet, lake, release, as_of, list(inputs) if inputs else None)]


def _score_once(
    fleet: str, lake: str | None, release: int | None, as_of: str | None, inputs: list[str] | None
) -> "ScoreSummary":
    from flows.bodies import steps
    from flows.bodies.in_process import run_in_process

    summary = run_in_process(lambda session: steps.score(session, release, as_of, inputs), fleet, lake)
    if summary is not None:
        return summary
    prepare_flows()
    from flows.score import score

    return score(fleet, lake=lake, release=release, as_of=as_of, inputs=inputs)


def measure_accuracy(fleet: str, lake: str | None = None) -> "AccuracySummary":
    """Compare the predictions of a fleet with the actual values observed since."""
    check_run(fleet)
    from flows.bodies import steps
    from flows.bodies.in_process import run_in_process

    summary = run_in_process(steps.accuracy, fleet, lake)
    if summary is not None:
        return summary
    prepare_flows()
    from flows.accuracy import accuracy

    return accuracy(fleet, lake=lake)


def roll_back(fleet: str, to: int, lake: str | None = None) -> "PromoteSummary":
    """Put the champions of an earlier release back in force."""
    check_run(fleet)
    from flows.bodies import steps

    summary = _revised(lambda session: steps.rollback(session, to), fleet, lake)
    if summary is not None:
        return summary
    prepare_flows()
    from flows.promote import rollback

    return rollback(fleet, to, lake=lake)


def pin_segment(fleet: str, segment: str, version: int | None, lake: str | None = None) -> "PinSummary":
    """Pin a segment to a version of its model; without a version, end its pin."""
    check_run(fleet)
    from flows.bodies import steps

    def change(session: "Session") -> "PinSummary":
        return steps.unpin(session, segment) if version is None else steps.pin(session, segment, version)

    summary = _revised(change, fleet, lake)
    if summary is not None:
        return summary
    prepare_flows()
    from flows.promote import pin, unpin

    return unpin(fleet, segment, lake=lake) if version is None else pin(fleet, segment, version, lake=lake)


def _revised(change: "Callable[[Session], R]", fleet: str, lake: str | None) -> "R | None":
    """Make a release of a small fleet in this process; None if workers are needed, or a server is to record it."""
    if _knows_server():
        return None
    from flows.bodies.in_process import run_in_process

    return run_in_process(change, fleet, lake, exclusive=True, small=frozenset({"release"}))


def _knows_server() -> bool:
    """Return True if a Prefect server may be running, which records what is done, and runs automations."""
    from adapters.settings import Settings

    return bool(os.environ.get("PREFECT_API_URL")) or Settings().path("var/run/stack.json").exists()
