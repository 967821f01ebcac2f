"""Commands that run a fleet, completely or stage by stage."""

from typing import Annotated

import typer

from cli.common import display_progress, interruptible, print_result, report_errors
from cli.options import AsJson, FleetPath, LakePath

__all__ = ["ingest", "partition", "promote", "run", "score", "train"]


def run(
    fleet: FleetPath,
    segments: Annotated[
        str | None,
        typer.Option(
            help="Train only segments whose key or values match this pattern, such as 'store=2/*' or '2/*', for a "
            "quick try; the others keep their models."
        ),
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Run all stages: ingest, partition, train, register, promote, score, accuracy and report.

    Example: myriad run fleets/m3.yaml
    """
    with report_errors(), interruptible():
        from cli.views.progress import print_summary
        from flows.actions import run_all

        with display_progress(as_json):
            result = run_all(fleet, lake, segments)
        summary = result.report.with_suffix(".json")
        if as_json:
            typer.echo(summary.read_text(encoding="utf-8"), nl=False)
        else:
            print_summary(summary)


def ingest(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Load new and changed files into the lake, each exactly once; invalid rows go to quarantine with a reason.

    Example: myriad ingest m3
    """
    _stage("ingest", fleet, lake, as_json)


def partition(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Sort the ingested rows into buckets of segments, and profile every segment.

    Example: myriad partition m3
    """
    _stage("partition", fleet, lake, as_json)


def train(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Train and register a challenger for every segment that changed.

    Example: myriad train m3 --json
    """
    _stage("train", fleet, lake, as_json)


def promote(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Promote the challengers that pass the fleet's gates, all at once, as a new release.

    Example: myriad promote m3
    """
    _stage("promote", fleet, lake, as_json)


def score(
    fleet: FleetPath,
    release: Annotated[
        int | None, typer.Option(help="Release to score with; default: the one in force.", min=1)
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Forecast from this past date, using only the rows up to it.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="With --to: backfill a past span, with one job per period.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last date of the backfill.")] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="File to score instead of the fleet's source; may be repeated."),
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the next periods, or predict the rows of new scoring input, each exactly once.

    A date (2024, 2024-06, 2024-W26, 2024-06-30) covers its whole period in the fleet's time zone.
    A job that was committed before is not repeated.

    Example: myriad score m3 --release 2 --as-of 1990-12
    """
    with report_errors(), interruptible():
        from cli.views.accuracy import print_scores
        from flows.actions import score_fleet

        with display_progress(as_json):
            summaries = score_fleet(fleet, lake, release=release, as_of=as_of, span=(first, last), inputs=inputs)
        print_result(summaries, print_scores, as_json)


def _stage(name: str, fleet: str, lake: str | None, as_json: bool) -> None:
    """Run one stage with its progress, and print its figures."""
    with report_errors(), interruptible():
        from cli.views.tables import print_figures
        from flows.actions import run_command

        with display_progress(as_json):
            result = run_command(name, fleet, lake)
        title = f"{name} of {result.fleet}, run {result.run_id}"
        print_result(result, lambda stage: print_figures(title, stage.stages), as_json)
