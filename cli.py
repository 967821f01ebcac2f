"""The `myriad` command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from models.errors import FleetError, MyriadError, PartitionError, SettingsError, SourceError

app = typer.Typer(
    name="myriad",
    help="One model per segment, ten thousand at a time: raw files to committed predictions.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

BAD_INPUT = (FleetError, SourceError, PartitionError, SettingsError)

FleetPath = Annotated[str, typer.Argument(help="Fleet file, or the name of one in fleets/.", metavar="FLEET")]
LakePath = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3:// uri of the tables.", envvar="MYRIAD_LAKE")
]


@app.command()
def run(fleet: FleetPath, lake: LakePath = None) -> None:
    """Run everything: ingest, partition, train, register, promote, score, report.

    Exit code 0: done; 1: the run failed; 2: the fleet file or its input is not usable.
    """
    with _told_errors():
        _prepare(fleet)
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
    """Put the champions of an earlier release into force again, as a new release."""
    with _told_errors():
        _prepare(fleet)
        from flows.promote import rollback as flow

        summary = flow(fleet, to, lake=lake)
        typer.echo(f"release {summary.release} is in force: the {summary.promoted} champions of release {to}")


@app.command()
def sample(
    names: Annotated[list[str] | None, typer.Argument(help="m3, flights; default: both.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the raw files go.")] = Path("var/raw"),
) -> None:
    """Write the raw files of the example fleets from public data."""
    from adapters.samples import Sample, write_sample

    with _told_errors():
        wanted: list[Sample] = [_sample(name) for name in names or ("m3", "flights")]
        for name in wanted:
            files = write_sample(name, folder)
            typer.echo(f"{name}: {len(files)} files below {folder / name}")


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


def _prepare(fleet: str) -> None:
    """Defaults for a run without servers, and a look at the fleet file before anything heavy is imported."""
    from adapters.fleets import load_fleet
    from adapters.settings import Settings, embedded_defaults

    settings = Settings()
    embedded_defaults(settings)
    load_fleet(fleet, settings.home)


def main() -> None:
    """Entry point."""
    app(prog_name="myriad")


if __name__ == "__main__":
    main()
