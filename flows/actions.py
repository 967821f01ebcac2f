"""What the commands and the Python API do to a fleet, each with its preparation; nothing is printed.

Nothing heavy is imported before it is needed: the environment must be prepared before Prefect reads it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.errors import RequestError

if TYPE_CHECKING:
    from flows.pipeline import PipelineResult
    from flows.stage_runner import StageResult
    from models.promotion.releases import PinSummary
    from tasks.accuracy import AccuracySummary
    from tasks.promote import PromoteSummary
    from tasks.score import ScoreSummary

__all__ = ["measure_accuracy", "pin_segment", "prepare_run", "roll_back", "run_all", "run_command", "score_fleet"]


def prepare_run(fleet: str, *, reads_input: bool = False) -> None:
    """Set the defaults for a run without servers, and check its inputs before anything heavy starts."""
    from adapters.lake.table import Lake
    from adapters.orchestration.local_server import prepare_server
    from adapters.settings import Settings
    from adapters.sources.fleet_files import load_fleet
    from adapters.sources.new_files import check_inputs

    settings = Settings()
    definition = load_fleet(fleet, settings.home)
    if reads_input:
        check_inputs(Lake(settings.lake_uri), definition, settings.home)
    prepare_server(settings)


def run_all(fleet: str, lake: str | None = None) -> "PipelineResult":
    """Run all stages of a fleet."""
    prepare_run(fleet, reads_input=True)
    from flows.pipeline import pipeline

    return pipeline(fleet, lake=lake)


def run_command(name: str, fleet: str, lake: str | None = None) -> "StageResult":
    """Run the stages of one command: ingest, partition, train or promote."""
    prepare_run(fleet, reads_input=name == "ingest")
    from flows.stage_runner import run_stage

    return run_stage(name, fleet, lake)


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
    prepare_run(fleet)
    from flows.score import backfill, score

    first, last = span
    if inputs and first is not None:
        raise RequestError("--input is for a single job: omit --from and --to")
    if (first is None) != (last is None) or (first is not None and as_of is not None):
        raise RequestError("a backfill needs both --from and --to, and no --as-of")
    if first is not None and last is not None:
        return backfill(fleet, first, last, lake=lake, release=release)
    return [score(fleet, lake=lake, release=release, as_of=as_of, inputs=list(inputs) if inputs else None)]


def measure_accuracy(fleet: str, lake: str | None = None) -> "AccuracySummary":
    """Compare the predictions of a fleet with the actual values observed since."""
    prepare_run(fleet)
    from flows.accuracy import accuracy

    return accuracy(fleet, lake=lake)


def roll_back(fleet: str, to: int, lake: str | None = None) -> "PromoteSummary":
    """Put the champions of an earlier release back in force."""
    prepare_run(fleet)
    from flows.promote import rollback

    return rollback(fleet, to, lake=lake)


def pin_segment(fleet: str, segment: str, version: int | None, lake: str | None = None) -> "PinSummary":
    """Pin a segment to a version of its model; without a version, end its pin."""
    prepare_run(fleet)
    from flows.promote import pin, unpin

    return unpin(fleet, segment, lake=lake) if version is None else pin(fleet, segment, version, lake=lake)
