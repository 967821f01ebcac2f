"""The `myriad` command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperGroup

from models.errors import (
    FleetError,
    MyriadError,
    OrchestratorError,
    PartitionError,
    RequestError,
    SettingsError,
    SourceError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from adapters.settings import Settings
    from adapters.status import FleetTables
    from flows.stages import StageName
    from models.fleet import Fleet

T = TypeVar("T")

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."
PANELS = {
    "Start": ("new", "sample", "simulate", "check"),
    "Run": ("run", "ingest", "partition", "train", "promote", "score"),
    "Look": ("status", "explain", "report", "accuracy", "export"),
    "Operate": ("rollback", "pin", "registry", "up", "down", "deploy"),
}


class _Commands(TyperGroup):
    """Commands in the panels and the order of `PANELS`; the help of each tells the exit codes."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for panel, names in PANELS.items():
            for command in (self.commands[name] for name in names if name in self.commands):
                vars(command)["rich_help_panel"] = panel
        for command in self.commands.values():
            for each in (command, *getattr(command, "commands", {}).values()):
                each.epilog = each.epilog or EXIT_CODES

    def list_commands(self, ctx: Any) -> list[str]:
        order = [name for names in PANELS.values() for name in names]
        return sorted(self.commands, key=lambda name: order.index(name) if name in order else len(order))


app = typer.Typer(
    name="myriad",
    help="One model per segment, ten thousand at a time: raw files to committed predictions.",
    cls=_Commands,
    epilog=f"Begin with: myriad sample m3, then myriad run m3, then myriad status m3. {EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

INTERRUPTED = "interrupted; nothing half-written is visible, run the same command to go on"
BAD_INPUT = (FleetError, SourceError, PartitionError, RequestError, SettingsError, UnknownNameError)


def _fleets(incomplete: str) -> list[str]:
    """Fleets for the shell's completion."""
    from adapters.completion import complete_fleets

    return complete_fleets(incomplete)


def _segments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Segments of the fleet that was named, for the shell's completion."""
    from adapters.completion import complete_segments

    return complete_segments(str(ctx.params.get("fleet") or ""), ctx.params.get("lake"), incomplete)


FleetPath = Annotated[
    str, typer.Argument(help="Fleet file, or the name of one in fleets/.", metavar="FLEET", autocompletion=_fleets)
]
LakePath = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3:// uri of the tables.", envvar="MYRIAD_LAKE")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"myriad {version('myriad-models')}")
        raise typer.Exit


@app.callback()
def _myriad(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """One model per segment, ten thousand at a time: raw files to committed predictions."""


def _share(help_text: str) -> Any:
    return typer.Option(help=f"Share of the {help_text}.", min=0, max=1, rich_help_panel="Hard kinds and dirt")


@app.command()
def run(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Run everything: ingest, partition, train, register, promote, score, report.

    Example: myriad run fleets/m3.yaml
    """
    with _told_errors(), _interruptible():
        _prepare(fleet, reads_input=True)
        from adapters.console import closing_table
        from flows.pipeline import pipeline

        with _shown_progress(as_json):
            result = pipeline(fleet, lake=lake)
        summary = result.report.with_suffix(".json")
        if as_json:
            typer.echo(summary.read_text(encoding="utf-8"), nl=False)
        else:
            closing_table(summary)


@app.command()
def ingest(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Take in new and changed raw files, each exactly once; rows that are not valid go to quarantine with a reason.

    Example: myriad ingest m3
    """
    _stage("ingest", fleet, lake, as_json)


@app.command()
def partition(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Sort what was ingested into buckets of segments, and profile every segment.

    Example: myriad partition m3
    """
    _stage("partition", fleet, lake, as_json)


@app.command()
def train(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Train a challenger for every segment that changed, and register it.

    Example: myriad train m3 --json
    """
    _stage("train", fleet, lake, as_json)


@app.command()
def promote(fleet: FleetPath, lake: LakePath = None, as_json: AsJson = False) -> None:
    """Judge the challengers by the fleet's gates, and release those that pass, all at once.

    Example: myriad promote m3
    """
    _stage("promote", fleet, lake, as_json)


@app.command()
def score(
    fleet: FleetPath,
    release: Annotated[
        int | None, typer.Option(help="Release to score with; default: the one in force.", min=1)
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Forecast from the rows up to this past date alone.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="With --to: a job a period of a past span.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last date of the span.")] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the next periods, or predict the rows of new scoring input, each exactly once; or what was past.

    A date covers all of what it names, in the fleet's zone: 2024, 2024-06, 2024-W26, 2024-06-30.
    A job that has been committed is not done again.

    Example: myriad score m3 --release 2 --as-of 1990-12
    """
    with _told_errors(), _interruptible():
        _prepare(fleet)
        from adapters.terminal_truth import show_scores
        from flows.score import backfill
        from flows.score import score as flow

        if (first is None) != (last is None) or (first is not None and as_of is not None):
            raise RequestError("a span needs both --from and --to, and no --as-of beside them")
        with _shown_progress(as_json):
            if first is not None and last is not None:
                summaries = backfill(fleet, first, last, lake=lake, release=release)
            else:
                summaries = [flow(fleet, lake=lake, release=release, as_of=as_of)]
        _show(summaries, show_scores, as_json)


@app.command()
def accuracy(
    fleet: FleetPath,
    by: Annotated[Literal["step", "segment", "release"], typer.Option(help="What a line stands for.")] = "step",
    release: Annotated[int | None, typer.Option(help="Only predictions of this release.", min=1)] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Compare predictions with what was observed since, and show the errors; only what changed is computed anew.

    Example: myriad accuracy m3 --by segment
    """
    with _told_errors(), _interruptible():
        _prepare(fleet)
        from adapters.terminal_truth import accuracy_document, show_accuracy
        from flows.accuracy import accuracy as flow
        from tasks.accuracy import accuracy_rows

        with _shown_progress(as_json):
            summary = flow(fleet, lake=lake)
        tables, _ = _tables(_settings(lake), fleet)
        rows = accuracy_rows(tables.lake, tables.fleet, by, release)
        if not rows.num_rows and not as_json:
            typer.echo(summary.reason or "no prediction has an actual value yet")
        elif as_json:
            _show(accuracy_document(rows, by, tables.fleet, release), typer.echo, as_json)
        else:
            show_accuracy(rows, by)


@app.command()
def export(
    fleet: FleetPath,
    table: Annotated[str, typer.Argument(help="predictions, forecasts, accuracy, ...; a wrong name lists all.")],
    to: Annotated[str, typer.Option("--to", help="File (.csv, .csv.gz, .parquet) or folder; local or s3://.")],
    form: Annotated[Literal["csv", "parquet"] | None, typer.Option("--format", help="Default: by the name.")] = None,
    release: Annotated[int | None, typer.Option(help="Only rows of this release.", min=0)] = None,
    segment: Annotated[str | None, typer.Option(help="Only this segment.", autocompletion=_segments)] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Write a table to a CSV or Parquet file, with a column for each part of the segment's key.

    `forecasts` are the current ones: of the release in force, from each segment's newest row.

    Example: myriad export m3 forecasts --to forecasts.csv
    """
    with _told_errors():
        from adapters.explain import resolve_segment
        from adapters.export import export_table
        from adapters.fleets import load_fleet

        settings = _settings(lake)
        definition = load_fleet(fleet, settings.home)
        tables, _ = _tables(settings, fleet)
        key = None if segment is None else resolve_segment(tables, [segment], fleet)
        done = export_table(tables, definition, table, to, settings.home, form=form, release=release, segment=key)
        _show(done, lambda it: typer.echo(f"{it.rows:,} rows of {it.table}: {it.path}"), as_json)


@app.command()
def status(
    fleet: Annotated[
        str | None,
        typer.Argument(help="Fleet file or name; default: all fleets.", metavar="FLEET", autocompletion=_fleets),
    ] = None,
    segments: Annotated[bool, typer.Option("--segments", help="List the segments of the newest training.")] = False,
    outcome: Annotated[
        Literal["trained", "reused", "fallback", "skipped", "failed"] | None,
        typer.Option(help="With --segments: only those with this outcome."),
    ] = None,
    held: Annotated[bool, typer.Option("--held", help="With --segments: only those that a gate held.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Show where a fleet stands: release, outcomes, champions, predictions, quarantine, inputs, and what to do next.

    Example: myriad status m3 --segments --outcome failed
    """
    from adapters.lake import Lake
    from adapters.status import read_fleets, read_segments, read_status
    from adapters.terminal_status import show_fleets, show_segment_lines, show_status

    with _told_errors():
        settings = _settings(lake)
        place, reports = Lake(settings.lake_uri), settings.path(settings.reports)
        if fleet is None:
            _show(read_fleets(place, reports, settings.home), partial(show_fleets, place.uri), as_json)
            return
        tables, definition = _tables(settings, fleet)
        if segments or outcome or held:
            _show(read_segments(tables, outcome, held=held), show_segment_lines, as_json)
        else:
            _show(read_status(tables, reports, fleet if definition else "FLEET_FILE"), show_status, as_json)


@app.command()
def explain(
    fleet: FleetPath,
    segment: Annotated[
        list[str],
        typer.Argument(
            help="Key (store=2/brand=5), or values alone (2/5, or 2 5).", metavar="SEGMENT", autocompletion=_segments
        ),
    ],
    time: Annotated[
        str | None, typer.Option(help="Which model made the prediction for this time, and from what.")
    ] = None,
    row: Annotated[
        int | None, typer.Option(help="Which model made the prediction for this row of a scoring file.", min=0)
    ] = None,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Explain a segment: its data, candidates, outcomes, verdicts, champion, lineage and forecast; or one prediction.

    Example: myriad explain m3 n1402 --time 2000-07-01
    """
    from adapters.explain import explain_prediction, explain_segment, resolve_segment
    from adapters.terminal_explain import show_explanation, show_lineage

    with _told_errors():
        tables, definition = _tables(_settings(lake), fleet)
        key = resolve_segment(tables, segment, fleet)
        if time is None and row is None:
            _show(explain_segment(tables, key, definition), show_explanation, as_json)
        else:
            _show(explain_prediction(tables, key, time, row), show_lineage, as_json)


@app.command()
def report(
    fleet: FleetPath,
    run: Annotated[str | None, typer.Option("--run", help="Id of the run; default: the newest.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List all reports, newest first.")] = False,
    opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Print the path of a run's report, and open it.

    Example: myriad report m3 --open
    """
    from adapters.reports import find_report, list_reports, open_report
    from adapters.terminal_status import show_report, show_reports

    with _told_errors():
        settings = _settings(lake)
        folder = settings.path(settings.reports) / _tables(settings, fleet)[0].fleet
        found = find_report(folder, fleet, run)
        if listed:
            _show(list_reports(folder), show_reports, as_json)
            return
        _show(found, show_report, as_json)
        if opened:
            open_report(found)


@app.command()
def rollback(
    fleet: FleetPath,
    to: Annotated[int, typer.Option("--to", help="Release to restore.", min=1)],
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Put the champions of an earlier release into force again, as a new release.

    Example: myriad rollback m3 --to 2
    """
    with _told_errors(), _interruptible():
        _prepare(fleet)
        from flows.promote import rollback as flow
        from flows.stages import document

        with _shown_progress(as_json):
            summary = flow(fleet, to, lake=lake)
        told = f"release {summary.release} is in force: the {summary.promoted} champions of release {to}"
        more = f"\n{summary.reason}" if "pinned" in summary.reason else ""
        _show(document(summary), lambda _: typer.echo(told + more), as_json)


@app.command()
def pin(
    fleet: FleetPath,
    segment: Annotated[
        str | None,
        typer.Argument(help="Key, such as store=2/brand=5.", metavar="SEGMENT", autocompletion=_segments),
    ] = None,
    version: Annotated[
        int | None, typer.Argument(help="Version of its registered model.", metavar="VERSION", min=1)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the pin: challengers compete again.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the pinned segments.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Hold one segment at a registered version of its model, as a new release; promotions leave it alone.

    A pin belongs to its release: a rollback to an older release restores the pins of that release.

    Example: myriad pin m3 series=n1402 2
    """
    if listed == (segment is not None) or (segment is not None and off == (version is not None)):
        raise typer.BadParameter("give SEGMENT VERSION, or SEGMENT --off, or --list")
    from adapters.terminal_release import show_pin, show_pins

    with _told_errors(), _interruptible():
        if segment is None:
            from models.tables import CHAMPIONS
            from tasks.work.release import pinned_segments

            _show(pinned_segments(_tables(_settings(lake), fleet)[0][CHAMPIONS]), show_pins, as_json)
            return
        _prepare(fleet)
        from flows.promote import pin as flow
        from flows.promote import unpin

        with _shown_progress(as_json):
            summary = unpin(fleet, segment, lake=lake) if version is None else flow(fleet, segment, version, lake=lake)
        _show(summary, show_pin, as_json)


registry_app = typer.Typer(help="The model registry (MLflow).", no_args_is_help=True)
app.add_typer(registry_app, name="registry")


@registry_app.command("sync")
def registry_sync(
    fleet: FleetPath,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what differs.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Repair MLflow from the lake, and tell what differed: lost models and files, numbers, champion aliases.

    Example: myriad registry sync m3 --dry-run
    """
    with _told_errors(), _interruptible():
        _prepare(fleet)
        from adapters.terminal_release import show_sync
        from flows.registry import sync_registry

        with _shown_progress(as_json):
            summary = sync_registry(fleet, lake=lake, dry_run=dry_run)
        _show(summary, show_sync, as_json)


@app.command()
def sample(
    names: Annotated[list[str] | None, typer.Argument(help="m3, flights; default: both.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the raw files go.")] = Path("var/raw"),
) -> None:
    """Write the raw files of the example fleets from public data.

    Example: myriad sample m3
    """
    from adapters.samples import Sample, write_sample

    with _told_errors():
        wanted: list[Sample] = [_sample(name) for name in names or ("m3", "flights")]
        for name in wanted:
            files = write_sample(name, folder)
            typer.echo(f"{name}: {len(files)} files below {folder / name}")


@app.command()
def new(
    data: Annotated[str, typer.Argument(help="File, folder or glob of CSV or Parquet files; local or s3://.")],
    name: Annotated[str | None, typer.Option(help="Name of the fleet; default: that of the data.")] = None,
    out: Annotated[str | None, typer.Option(help="File to write; default: fleets/NAME.yaml.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    segment_by: Annotated[str | None, typer.Option(help="Columns that make the segments, such as store,brand.")] = None,
    time: Annotated[str | None, typer.Option(help="Column that holds the time of a row.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Periods to forecast.", min=1, max=1000)] = None,
    task: Annotated[Literal["forecast", "regression"] | None, typer.Option(help="Default: what fits the data.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the fleet file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at data and write a fleet file for them that is ready to run, with a reason for each choice.

    Exit code 0: written, and free of errors for `myriad check`; 2: the data need an option, or another form.

    Example: myriad new data/sales.csv
    """
    with _told_errors():
        from adapters.draft import draft_file
        from adapters.settings import Settings
        from adapters.terminal_draft import show_draft
        from models.draft_origin import Wishes

        settings = Settings()
        segments = None if segment_by is None else tuple(part.strip() for part in segment_by.split(",") if part.strip())
        wishes = Wishes(name, target, segments, time, horizon, task)
        drafted = draft_file(data, wishes, settings.home, settings.workers, out=out, force=force)
        show_draft(drafted, settings.home, as_json=as_json)


@app.command()
def check(
    fleet: FleetPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at a fleet file and its data before a run: columns, times, segments, inputs, and what a run takes.

    Writes nothing. Exit code 0: no error, perhaps warnings; 2: a run would fail or be pointless.

    Example: myriad check fleets/flights.yaml
    """
    with _told_errors():
        from adapters.fleets import load_fleet
        from adapters.inspection import check_fleet
        from adapters.settings import Settings
        from adapters.terminal import show_findings

        settings = Settings()
        findings = check_fleet(load_fleet(fleet, settings.home), settings.home, settings.workers)
        show_findings(findings, as_json=as_json)
        if findings.errors:
            raise typer.Exit(2)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")],
    segments: Annotated[int, typer.Option(help="Number of segments: stores x brands.", min=1)] = 1000,
    weeks: Annotated[int, typer.Option(help="Weeks of history.", min=1)] = 122,
    horizon: Annotated[int, typer.Option(help="Weeks to forecast.", min=1, max=1000)] = 8,
    seed: Annotated[int, typer.Option(help="Another seed gives other numbers.", min=0)] = 0,
    files: Annotated[int | None, typer.Option(help="Files a table; default: one per 1,000 segments.", min=1)] = None,
    format: Annotated[Literal["parquet", "csv"], typer.Option(help="Format of the files.")] = "parquet",
    short: Annotated[float, _share("segments that have 1 to 20 weeks")] = 0.03,
    intermittent: Annotated[float, _share("segments that sell nothing in most weeks")] = 0.05,
    dead: Annotated[float, _share("segments that ended long ago")] = 0.02,
    gappy: Annotated[float, _share("segments that lack weeks here and there")] = 0.03,
    unseen: Annotated[float, _share("segments that have no history, only a future")] = 0.0,
    duplicate: Annotated[float, _share("rows that come twice, with other units")] = 0.0,
    null: Annotated[float, _share("rows without units")] = 0.0,
    outlier: Annotated[float, _share("rows with 30 times their units")] = 0.0,
    unparsable: Annotated[float, _share("rows with a text for units; needs --format csv")] = 0.0,
) -> None:
    """Write a fleet of simulated weekly sales: history, future prices, actuals, and fleet.yaml, ready to run.

    Example: myriad simulate var/raw/big --segments 10000
    """
    from adapters.simulated import simulate_fleet

    kinds = {"short": short, "intermittent": intermittent, "dead": dead, "gappy": gappy, "unseen": unseen}
    dirt = {"duplicate": duplicate, "null": null, "outlier": outlier, "unparsable": unparsable}
    sizes = {"weeks": weeks, "horizon": horizon, "seed": seed}
    with _told_errors():
        written = simulate_fleet(folder, segments, files, format, sizes, kinds | dirt)
        size = sum(path.stat().st_size for path in written)
        typer.echo(f"{segments:,} segments of {weeks} weeks: {len(written)} files, {size:,} bytes below {folder}")
        typer.echo(f"next: myriad run {written[-1]}")


@app.command()
def up(
    fleet: Annotated[
        list[str] | None, typer.Option(help="Fleet to deploy; may be repeated. Default: all in fleets/.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the UI and the API.", min=1, max=65535, show_default="4200")
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C stops everything.")] = False,
) -> None:
    """Start a Prefect server with its UI and a worker on this machine, and deploy fleets to it.

    Comes back when all of it works; `myriad down` stops it. If it runs already, that is what it tells.

    Example: myriad up --fleet fleets/m3.yaml
    """
    import os

    from adapters.interrupts import stopping_on_signals
    from adapters.settings import Settings
    from adapters.stack import Stacks, described
    from flows.stack import bring_up, watch

    settings = Settings()
    stacks = Stacks(settings, dict(os.environ))
    with _told_errors(), stopping_on_signals():
        with stacks.locked():
            stack = bring_up(stacks, settings, port, fleet or (), typer.echo)
        typer.echo("\n".join(described(stack, stacks.logs)))
        if foreground:
            try:
                watch(stacks, stack)
            finally:
                with stacks.locked():
                    stacks.stop()


@app.command()
def down() -> None:
    """Stop the Prefect server and the worker that `myriad up` has started; runs in progress are stopped too.

    Example: myriad down
    """
    import os

    from adapters.settings import Settings
    from adapters.stack import Stacks

    stacks = Stacks(Settings(), dict(os.environ))
    with _told_errors(), stacks.locked():
        stopped = stacks.stop()
    for child in stopped:
        typer.echo(f"stopped the {child.role} (pid {child.pid})")
    if not stopped:
        typer.echo("nothing runs here")


@app.command()
def deploy(
    fleets: Annotated[list[str], typer.Argument(help="Fleet files, or names in fleets/.", metavar="FLEET...")],
) -> None:
    """Deploy all flows for fleets to the Prefect server that `myriad up` started, or to that of PREFECT_API_URL.

    Schedules that people have switched on or changed stay as they are.

    Example: myriad deploy fleets/m3.yaml
    """
    from adapters.settings import Settings, embedded_defaults
    from adapters.stack import running_server
    from flows.stack import deploy_fleets, find_fleets

    with _told_errors():
        settings = Settings()
        found = find_fleets(settings, fleets, typer.echo)
        url = running_server(settings)
        if url is None:
            raise OrchestratorError("no Prefect server runs here; start one (myriad up), or set PREFECT_API_URL")
        embedded_defaults(settings)
        for label in deploy_fleets(url, found):
            typer.echo(label)


def _sample(name: str) -> Literal["m3", "flights"]:
    if name == "m3":
        return "m3"
    if name == "flights":
        return "flights"
    raise SourceError(f"sample {name!r}: there is none of this name; allowed: m3, flights")


def _stage(name: "StageName", fleet: str, lake: str | None, as_json: bool) -> None:
    """Run one stage with its progress, and tell what came of it."""
    with _told_errors(), _interruptible():
        _prepare(fleet, reads_input=name == "ingest")
        from adapters.show import show_figures
        from flows.stages import run_stage

        with _shown_progress(as_json):
            result = run_stage(name, fleet, lake)
        title = f"{name} of {result.fleet}, run {result.run_id}"
        _show(result, lambda done: show_figures(title, done.stages, done.seconds), as_json)


@contextmanager
def _shown_progress(as_json: bool) -> Iterator[None]:
    """Progress of the stages; beside the document, on stderr, where stdout is for that alone."""
    import sys
    from contextlib import nullcontext, redirect_stdout

    from adapters.console import shown_progress

    with redirect_stdout(sys.stderr) if as_json else nullcontext(), shown_progress():
        yield


def _show(value: T, show: Callable[[T], None], as_json: bool) -> None:
    """One JSON document, or what people read."""
    from adapters.show import show_json

    show_json(value) if as_json else show(value)


def _settings(lake: str | None) -> "Settings":
    from adapters.settings import Settings

    return Settings(lake=lake) if lake else Settings()


def _tables(settings: "Settings", reference: str) -> "tuple[FleetTables, Fleet | None]":
    """The tables of a fleet that its file or the lake knows, and what the file says."""
    from adapters.fleets import known_fleet
    from adapters.lake import Lake
    from adapters.status import FleetTables

    lake = Lake(settings.lake_uri)
    name, fleet = known_fleet(reference, settings.home, lake)
    return FleetTables(lake, name), fleet


@contextmanager
def _told_errors() -> Iterator[None]:
    """Errors of ours as one clear message and an exit code; others keep their traceback."""
    try:
        yield
    except MyriadError as exc:
        typer.secho(str(exc), fg=typer.colors.RED, err=True)
        raise typer.Exit(2 if isinstance(exc, BAD_INPUT) else 1) from exc


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the run and its servers and workers at once."""
    from adapters.interrupts import leaving_on_interrupt

    with leaving_on_interrupt(INTERRUPTED):
        yield


def _prepare(fleet: str, *, reads_input: bool = False) -> None:
    """Defaults for a run without servers, and a look at what it needs before anything heavy is started."""
    from adapters.files import list_files
    from adapters.fleets import load_fleet
    from adapters.settings import Settings, embedded_defaults
    from adapters.stack import join_server

    settings = Settings()
    definition = load_fleet(fleet, settings.home)
    if reads_input:
        for part in (definition, definition.score, definition.test):
            if part is not None:
                list_files(part.source.path, settings.home)
    join_server(settings)
    embedded_defaults(settings)


def main() -> None:
    """Entry point."""
    app(prog_name="myriad")


if __name__ == "__main__":
    main()
