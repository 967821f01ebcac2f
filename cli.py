"""The `myriad` command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from models.errors import FleetError, MyriadError, PartitionError, SettingsError, SourceError

app = typer.Typer(
    name="myriad",
    help="One model per segment, ten thousand at a time: raw files to committed predictions.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

INTERRUPTED = "interrupted; nothing half-written is visible, run the same command to go on"
BAD_INPUT = (FleetError, SourceError, PartitionError, SettingsError)

FleetPath = Annotated[str, typer.Argument(help="Fleet file, or the name of one in fleets/.", metavar="FLEET")]
LakePath = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3:// uri of the tables.", envvar="MYRIAD_LAKE")
]


def _share(help_text: str) -> Any:
    return typer.Option(help=f"Share of the {help_text}.", min=0, max=1, rich_help_panel="Hard kinds and dirt")


@app.command()
def run(fleet: FleetPath, lake: LakePath = None) -> None:
    """Run everything: ingest, partition, train, register, promote, score, report.

    Exit code 0: done; 1: the run failed; 2: the fleet file or its input is not usable.

    Example: myriad run fleets/m3.yaml
    """
    with _told_errors(), _interruptible():
        _prepare(fleet, reads_input=True)
        from adapters.console import closing_table, shown_progress
        from flows.pipeline import pipeline

        with shown_progress():
            result = pipeline(fleet, lake=lake)
        closing_table(result.report.with_suffix(".json"))


@app.command()
def rollback(
    fleet: FleetPath,
    to: Annotated[int, typer.Option("--to", help="Release to restore.", min=1)],
    lake: LakePath = None,
) -> None:
    """Put the champions of an earlier release into force again, as a new release.

    Example: myriad rollback m3 --to 2
    """
    with _told_errors(), _interruptible():
        _prepare(fleet)
        from flows.promote import rollback as flow

        summary = flow(fleet, to, lake=lake)
        typer.echo(f"release {summary.release} is in force: the {summary.promoted} champions of release {to}")


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


def _sample(name: str) -> Literal["m3", "flights"]:
    if name == "m3":
        return "m3"
    if name == "flights":
        return "flights"
    raise SourceError(f"sample {name!r}: there is none of this name; allowed: m3, flights")


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

    settings = Settings()
    definition = load_fleet(fleet, settings.home)
    if reads_input:
        for part in (definition, definition.score, definition.test):
            if part is not None:
                list_files(part.source.path, settings.home)
    embedded_defaults(settings)


def main() -> None:
    """Entry point."""
    app(prog_name="myriad")


if __name__ == "__main__":
    main()
