"""Commands that show the state and results of a fleet; they write nothing but the accuracy table."""

from functools import partial
from typing import Annotated, Literal

import typer

from cli.common import display_progress, interruptible, print_result, report_errors, settings_of, tables_of
from cli.options import AsJson, FleetPath, LakePath, complete_fleet, complete_segment

__all__ = ["accuracy", "doctor", "explain", "export", "report", "status"]


def status(
    fleet: Annotated[
        str | None,
        typer.Argument(help="Fleet file or name; default: all fleets.", metavar="FLEET", autocompletion=complete_fleet),
    ] = None,
    segments: Annotated[bool, typer.Option("--segments", help="List the segments of the newest training.")] = False,
    outcome: Annotated[
        Literal["trained", "reused", "fallback", "skipped", "failed"] | None,
        typer.Option(help="List only segments with this outcome."),
    ] = None,
    held: Annotated[bool, typer.Option("--held", help="List only segments whose challenger a gate held.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Show the state of a fleet: release, outcomes, champions, predictions, quarantine, inputs, and the next steps.

    Example: myriad status m3 --segments --outcome failed
    """
    from adapters.lake.table import Lake
    from adapters.queries.fleet_status import read_fleets, read_segments, read_status
    from adapters.sources.new_files import awaited_input
    from cli.views.status import print_fleets, print_segment_lines, print_status

    with report_errors():
        settings = settings_of(lake)
        store, reports = Lake(settings.lake_uri), settings.path(settings.reports)
        if fleet is None:
            print_result(read_fleets(store, reports, settings.home), partial(print_fleets, store.uri), as_json)
            return
        tables, definition = tables_of(settings, fleet)
        if segments or outcome or held:
            print_result(read_segments(tables, outcome, held=held), print_segment_lines, as_json)
        else:
            awaited = awaited_input(definition, settings.home) if definition else ""
            file = fleet if definition else "FLEET_FILE"
            print_result(read_status(tables, reports, file, awaited), print_status, as_json)


def explain(
    fleet: FleetPath,
    segment: Annotated[
        list[str],
        typer.Argument(
            help="Key (store=2/brand=5), or only its values (2/5, or 2 5).",
            metavar="SEGMENT",
            autocompletion=complete_segment,
        ),
    ],
    time: Annotated[
        str | None, typer.Option(help="Trace the prediction for this time back to its model and files.")
    ] = None,
    row: Annotated[
        int | None,
        typer.Option(help="Trace the prediction for this row of a scoring file back to its model and files.", min=0),
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Explain a segment by its data, candidates, outcomes, verdicts, champion, lineage and forecast; or one prediction.

    Example: myriad explain m3 n1402 --time 2000-07-01
    """
    from adapters.queries.predictions import explain_prediction
    from adapters.queries.segment_rows import resolve_segment
    from adapters.queries.segment_view import explain_segment
    from cli.views.explain import print_lineage, print_segment

    with report_errors():
        tables, definition = tables_of(settings_of(lake), fleet)
        key = resolve_segment(tables, segment, fleet)
        if time is None and row is None:
            print_result(explain_segment(tables, key, definition), print_segment, as_json)
        else:
            print_result(explain_prediction(tables, key, time, row), print_lineage, as_json)


def report(
    fleet: FleetPath,
    run: Annotated[str | None, typer.Option("--run", help="Id of the run; default: the newest.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List all reports, newest first.")] = False,
    opened: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Print the path of a run's report, or open it.

    Example: myriad report m3 --open
    """
    from adapters.lake.report_files import find_report, list_reports, open_report
    from cli.views.status import print_report, print_reports

    with report_errors():
        settings = settings_of(lake)
        folder = settings.path(settings.reports) / tables_of(settings, fleet)[0].fleet
        file = find_report(folder, fleet, run)
        if listed:
            print_result(list_reports(folder), print_reports, as_json)
            return
        print_result(file, print_report, as_json)
        if opened:
            open_report(file)


def accuracy(
    fleet: FleetPath,
    by: Annotated[Literal["step", "segment", "release"], typer.Option(help="Group the errors by this.")] = "step",
    release: Annotated[int | None, typer.Option(help="Include only predictions of this release.", min=1)] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Compare predictions with the actual values observed since, and show the errors.

    Example: myriad accuracy m3 --by segment
    """
    with report_errors(), interruptible():
        from cli.views.accuracy import accuracy_document, print_accuracy
        from flows.actions import measure_accuracy
        from tasks.accuracy import accuracy_rows

        with display_progress(as_json):
            summary = measure_accuracy(fleet, lake)
        tables, _ = tables_of(settings_of(lake), fleet)
        rows = accuracy_rows(tables.lake, tables.fleet, by, release)
        if not rows.num_rows and not as_json:
            typer.echo(summary.reason or "no prediction has an actual value yet")
        elif as_json:
            print_result(accuracy_document(rows, by, tables.fleet, release), typer.echo, as_json)
        else:
            print_accuracy(rows, by)


def export(
    fleet: FleetPath,
    table: Annotated[
        str, typer.Argument(help="Table, such as forecasts or accuracy; an unknown name lists all.", metavar="TABLE")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            help="File (.csv, .csv.gz, .parquet) or folder, local or s3://; or a database: postgresql://HOST/DATABASE, "
            "sqlite:///FILE, duckdb:///FILE, or env:NAME of a variable with its address.",
        ),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", hidden=True, help="Former name of --out.")] = None,
    form: Annotated[
        Literal["csv", "parquet"] | None, typer.Option("--format", help="File format; default: that of the file name.")
    ] = None,
    release: Annotated[int | None, typer.Option(help="Export only rows of this release.", min=0)] = None,
    segment: Annotated[
        str | None, typer.Option(help="Export only this segment.", autocompletion=complete_segment)
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Write text to CSV as it is, also where a spreadsheet would run it.")
    ] = False,
    into: Annotated[
        str | None, typer.Option("--into", help="Table or schema.table of the database; default: FLEET_TABLE.")
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Write a table to a CSV or Parquet file or to a database, with one column per part of the segment key.

    `forecasts` are the current ones: those of the release in force from the newest row of each segment. In CSV, text
    that a spreadsheet would read as a formula gets an apostrophe in front; for programs: --exact, or Parquet. In a
    database, the rows replace those of the fleet (and of the same --release and --segment) in one transaction.

    Example: myriad export m3 forecasts --out forecasts.csv
    """
    target = out or to
    if not target:
        raise typer.BadParameter("give --out FILE, or --out and the address of a database")
    with report_errors():
        from adapters.queries.export import export_table
        from adapters.queries.segment_rows import resolve_segment
        from adapters.sources.fleet_files import load_fleet

        settings = settings_of(lake)
        definition = load_fleet(fleet, settings.home)
        tables, _ = tables_of(settings, fleet)
        key = None if segment is None else resolve_segment(tables, [segment], fleet)
        result = export_table(
            tables,
            definition,
            table,
            target,
            settings.home,
            form=form,
            release=release,
            segment=key,
            exact=exact,
            into=into,
        )
        print_result(result, lambda it: typer.echo(f"{it.rows:,} rows of {it.table}: {it.path}"), as_json)


def doctor(
    security: Annotated[
        bool, typer.Option("--security", help="Check files, secrets, ports and encryption of this machine instead.")
    ] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Check every part of the set-up (packages, lake, registry, Prefect, workers), with a remedy for each failure.

    Writes a small object to the lake and deletes it; with --security it writes nothing and calls no server. Exits with
    code 1 if a check failed.

    Example: myriad doctor
    """
    from adapters.health.examination import examine
    from adapters.settings import quiet_telemetry
    from cli.views.doctor import print_check, print_summary
    from domain.checks.health import counts

    with report_errors():
        quiet_telemetry()
        tell = (lambda check: None) if as_json else print_check
        checks = examine(settings_of(lake), security=security, tell=tell)
        print_result(checks, print_summary, as_json)
    if counts(checks)["failed"]:
        raise typer.Exit(1)
