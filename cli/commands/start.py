"""Commands that start a fleet: sample and simulated data, a first fleet file, its check and its size."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.common import display_progress, interruptible, print_result, report_errors, settings_of
from cli.options import AsJson, FleetPath, LakePath
from domain.errors import SourceError

__all__ = ["check", "new", "sample", "simulate", "size"]


def _share(help_text: str) -> Any:
    return typer.Option(help=f"Share of {help_text}.", min=0, max=1, rich_help_panel="Difficult segments and defects")


def new(
    data: Annotated[
        str,
        typer.Argument(help="Files, a folder, a glob or a Delta table; local or in an object store.", metavar="DATA"),
    ],
    name: Annotated[str | None, typer.Option(help="Name of the fleet; default: the name of the data.")] = None,
    out: Annotated[str | None, typer.Option(help="File to write; default: fleets/NAME.yaml.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict.")] = None,
    segment_by: Annotated[
        str | None, typer.Option(help="Columns that define the segments, such as store,brand.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time of each row.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Periods to forecast.", min=1, max=1000)] = None,
    task: Annotated[
        Literal["forecast", "regression"] | None, typer.Option(help="Default: the one that fits the data.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(help="SQL query, if DATA is a database: postgresql://, sqlite:///, duckdb:///, env:NAME."),
    ] = None,
    watermark: Annotated[
        str | None, typer.Option(help="Column of the query that is larger in new and changed rows.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing fleet file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a fleet file for data, ready to run, with a reason for each choice.

    Exit code 0: written, and `myriad check` finds no errors; 2: the data need an option, or another form.

    Example: myriad new data/sales.csv
    """
    with report_errors():
        from adapters.settings import Settings
        from adapters.sources.scaffold import scaffold_file
        from cli.views.new import print_scaffold
        from domain.scaffold.source_profile import UserOptions

        settings = Settings()
        segments = None if segment_by is None else tuple(part.strip() for part in segment_by.split(",") if part.strip())
        options = UserOptions(name, target, segments, time, horizon, task, query, watermark)
        written = scaffold_file(data, options, settings.home, settings.workers, out=out, force=force)
        print_scaffold(written, settings.home, as_json=as_json)


def sample(
    names: Annotated[list[str] | None, typer.Argument(help="m3, flights; default: both.", metavar="[NAME]...")] = None,
    folder: Annotated[Path, typer.Option(help="Folder for the raw files.")] = Path("var/raw"),
) -> None:
    """Write the raw files of the example fleets from public data.

    Example: myriad sample m3
    """
    from adapters.sources.samples import SampleName, write_sample

    with report_errors():
        samples: list[SampleName] = [_sample(name) for name in names or ("m3", "flights")]
        for name in samples:
            files = write_sample(name, folder)
            typer.echo(f"{name}: {len(files)} files below {folder / name}")


def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.", metavar="FOLDER")],
    segments: Annotated[int, typer.Option(help="Number of segments: stores x brands.", min=1)] = 1000,
    weeks: Annotated[int, typer.Option(help="Weeks of history.", min=1)] = 122,
    horizon: Annotated[int, typer.Option(help="Weeks to forecast.", min=1, max=1000)] = 8,
    seed: Annotated[int, typer.Option(help="Random seed.", min=0)] = 0,
    files: Annotated[int | None, typer.Option(help="Files per table; default: one per 1,000 segments.", min=1)] = None,
    format: Annotated[Literal["parquet", "csv"], typer.Option(help="Format of the files.")] = "parquet",
    short: Annotated[float, _share("segments with only 1 to 20 weeks")] = 0.03,
    intermittent: Annotated[float, _share("segments that sell nothing in most weeks")] = 0.05,
    dead: Annotated[float, _share("segments that ended long ago")] = 0.02,
    gappy: Annotated[float, _share("segments with missing weeks")] = 0.03,
    unseen: Annotated[float, _share("segments without history, only with a future")] = 0.0,
    duplicate: Annotated[float, _share("rows that occur twice, with different units")] = 0.0,
    null: Annotated[float, _share("rows without units")] = 0.0,
    outlier: Annotated[float, _share("rows with 30 times the actual units")] = 0.0,
    unparsable: Annotated[float, _share("rows with text for units; needs --format csv")] = 0.0,
) -> None:
    """Write a fleet of simulated weekly sales: history, future prices, actuals, and fleet.yaml, ready to run.

    Example: myriad simulate var/raw/big --segments 10000
    """
    from adapters.sources.simulated import simulate_fleet

    kinds = {"short": short, "intermittent": intermittent, "dead": dead, "gappy": gappy, "unseen": unseen}
    dirt = {"duplicate": duplicate, "null": null, "outlier": outlier, "unparsable": unparsable}
    sizes = {"weeks": weeks, "horizon": horizon, "seed": seed}
    with report_errors():
        written = simulate_fleet(folder, segments, files, format, sizes, kinds | dirt)
        size = sum(path.stat().st_size for path in written)
        typer.echo(f"{segments:,} segments of {weeks} weeks: {len(written)} files, {size:,} bytes below {folder}")
        typer.echo(f"next: myriad run {written[-1]}")


def check(
    fleet: FleetPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a fleet file and its data before a run: columns, times, segments, inputs, and an estimate of the run.

    Writes nothing. Exit code 0: no errors, possibly warnings; 2: a run would fail or be pointless.

    Example: myriad check fleets/flights.yaml
    """
    with report_errors():
        from adapters.settings import Settings
        from adapters.sources.fleet_files import load_fleet
        from adapters.sources.sampling import check_fleet
        from cli.views.check import print_findings

        settings = Settings()
        findings = check_fleet(load_fleet(fleet, settings.home), settings.home, settings.workers)
        print_findings(findings, as_json=as_json)
        if findings.errors:
            raise typer.Exit(2)


def size(
    fleet: FleetPath,
    sample: Annotated[int, typer.Option(help="Number of segments to train and score at most.", min=1)] = 200,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Train and score a sample to recommend workers and memory for the whole fleet, and estimate its run time.

    Changes neither the lake nor the registry. The estimate of the next run uses the measurements.

    Example: myriad size m3 --sample 500
    """
    with report_errors(), interruptible():
        import os

        from adapters.compute.dask import open_workers
        from adapters.lake.table import Lake
        from adapters.settings import embedded_defaults
        from adapters.sources.fleet_files import load_fleet
        from cli.views.size import print_sizing

        settings = settings_of(lake)
        definition = load_fleet(fleet, settings.home)
        embedded_defaults(settings)
        from tasks.context import Run
        from tasks.sizing.size import size as measure
        from tasks.workers.run_context import RunContext

        # One local worker: the sample is on this machine.
        single = settings.model_copy(update={"workers": 1, "dask_address": "", "worker_memory": "auto"})
        context = RunContext(definition, Lake(settings.lake_uri), "size", settings.home)
        with display_progress(as_json), open_workers(single) as workers:
            folder = settings.path(settings.reports) / definition.name
            sizing = measure(Run(context, workers), folder, sample, os.cpu_count() or 1)
        print_result(sizing, print_sizing, as_json)


def _sample(name: str) -> Literal["m3", "flights"]:
    if name == "m3":
        return "m3"
    if name == "flights":
        return "flights"
    raise SourceError(f"sample {name!r}: no such sample; allowed: m3, flights")
