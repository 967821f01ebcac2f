"""Commands that run a fleet, whole or stage by stage."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import display_progress, interruptible, prepare_run, print_result, report_errors
from cli.options import AsJson, FleetPath, LakePath
from domain.errors import RequestError

if TYPE_CHECKING:
    from flows.stages import StageName

__all__ = ["ingest", "partition", "promote", "run", "score", "train"]


def run(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Run everything: ingest, partition, train, register, promote, score, report.

    Example: myriad run fleets/m3.yaml
    """
    with report_errors(), interruptible():
        prepare_run(fleet, reads_input=True)
        from cli.views.progress import print_summary
        from flows.pipeline import pipeline

        with display_progress(as_json):
            result = pipeline(fleet, lake=lake)
        summary = result.report.with_suffix(".json")
        if as_json:
            typer.echo(summary.read_text(encoding="utf-8"), nl=False)
        else:
            print_summary(summary)


def ingest(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Take in new and changed raw files, each exactly once; rows that are not valid go to quarantine with a reason.

    Example: myriad ingest m3
    """
    _stage("ingest", fleet, lake, as_json)


def partition(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Sort what was ingested into buckets of segments, and profile every segment.

    Example: myriad partition m3
    """
    _stage("partition", fleet, lake, as_json)


def train(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Train a challenger for every segment that changed, and register it.

    Example: myriad train m3 --json
    """
    _stage("train", fleet, lake, as_json)


def promote(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Judge the challengers by the fleet's gates, and release those that pass, all at once.

    Example: myriad promote m3
    """
    _stage("promote", fleet, lake, as_json)


def score(
    fleet: FleetPath,
    release: Annotated[
        int | None, typer.Option(help="Release to score with; default: the one in force.", min=1)
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Forecast from the rows up to this past date alone.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="With --to: a job a period of a past span.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last date of the span.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="File to score in place of the fleet's source; as often as needed."),
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the next periods, or predict the rows of new scoring input, each exactly once; or what was past.

    A date covers all of what it names, in the fleet's zone: 2024, 2024-06, 2024-W26, 2024-06-30.
    A job that has been committed is not done again.

    Example: myriad score m3 --release 2 --as-of 1990-12
    """
    with report_errors(), interruptible():
        prepare_run(fleet)
        from cli.views.accuracy import print_scores
        from flows.score import backfill
        from flows.score import score as flow

        if inputs and first is not None:
            raise RequestError("--input is for one job: leave out --from and --to")
        if (first is None) != (last is None) or (first is not None and as_of is not None):
            raise RequestError("a span needs both --from and --to, and no --as-of beside them")
        with display_progress(as_json):
            if first is not None and last is not None:
                summaries = backfill(fleet, first, last, lake=lake, release=release)
            else:
                summaries = [flow(fleet, lake=lake, release=release, as_of=as_of, inputs=inputs)]
        print_result(summaries, print_scores, as_json)


def _stage(name: "StageName", fleet: str, lake: str | None, as_json: bool) -> None:
    """Run one stage with its progress, and tell what came of it."""
    with report_errors(), interruptible():
        prepare_run(fleet, reads_input=name == "ingest")
        from cli.views.tables import print_figures
        from flows.stages import run_stage

        with display_progress(as_json):
            result = run_stage(name, fleet, lake)
        title = f"{name} of {result.fleet}, run {result.run_id}"
        print_result(result, lambda done: print_figures(title, done.stages, done.seconds), as_json)
