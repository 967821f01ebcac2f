"""What the commands share: settings, errors as messages, progress, and one way to show a result."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from domain.errors import (
    FleetError,
    MyriadError,
    PartitionError,
    RequestError,
    SettingsError,
    SourceError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from adapters.queries.fleet_tables import FleetTables
    from adapters.settings import Settings
    from domain.config.fleet import Fleet

__all__ = [
    "INTERRUPTED",
    "display_progress",
    "interruptible",
    "prepare_run",
    "print_result",
    "report_errors",
    "settings_of",
    "tables_of",
]

T = TypeVar("T")

INTERRUPTED = "interrupted; nothing half-written is visible, run the same command to go on"
BAD_INPUT = (FleetError, SourceError, PartitionError, RequestError, SettingsError, UnknownNameError)


@contextmanager
def report_errors() -> Iterator[None]:
    """Errors of ours as one clear message and an exit code; others keep their traceback."""
    try:
        yield
    except MyriadError as exc:
        typer.secho(str(exc), fg=typer.colors.RED, err=True)
        raise typer.Exit(2 if isinstance(exc, BAD_INPUT) else 1) from exc
    except Exception as exc:
        told = _of_orchestrator(exc)
        if told is None:
            raise
        typer.secho(told, fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from exc


def _of_orchestrator(exc: Exception) -> str | None:
    """What to tell where Prefect's server did not come up or went away; None for any other error."""
    import httpx

    if not (isinstance(exc, httpx.TransportError) or "ephemeral Prefect API server" in str(exc)):
        return None
    return (
        f"Prefect's server does not answer: {exc}; nothing half-written is visible. Run the same command again, or "
        "start a server that stays: myriad up"
    )


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends the run and its servers and workers at once."""
    from adapters.compute.interrupts import leaving_on_interrupt

    with leaving_on_interrupt(INTERRUPTED):
        yield


def prepare_run(fleet: str, *, reads_input: bool = False) -> None:
    """Defaults for a run without servers, and a look at what it needs before anything heavy is started."""
    from adapters.lake.files import list_files
    from adapters.orchestration.local_server import join_server
    from adapters.settings import Settings, embedded_defaults
    from adapters.sources.fleet_files import load_fleet

    settings = Settings()
    definition = load_fleet(fleet, settings.home)
    if reads_input:
        for part in (definition, definition.score, definition.test):
            if part is not None:
                list_files(part.source.path, settings.home)
    join_server(settings)
    embedded_defaults(settings)


@contextmanager
def display_progress(as_json: bool) -> Iterator[None]:
    """Progress of the stages; beside the document, on stderr, where stdout is for that alone."""
    import sys
    from contextlib import nullcontext, redirect_stdout

    from cli.views import progress as console

    with redirect_stdout(sys.stderr) if as_json else nullcontext(), console.display_progress():
        yield


def print_result(value: T, printed: Callable[[T], None], as_json: bool) -> None:
    """One JSON document, or what people read."""
    from cli.views.tables import print_json

    print_json(value) if as_json else printed(value)


def settings_of(lake: str | None) -> "Settings":
    """The settings, with the lake that was asked for."""
    from adapters.settings import Settings

    return Settings(lake=lake) if lake else Settings()


def tables_of(settings: "Settings", reference: str) -> "tuple[FleetTables, Fleet | None]":
    """The tables of a fleet that its file or the lake knows, and what the file says."""
    from adapters.lake.table import Lake
    from adapters.queries.fleet_tables import FleetTables
    from adapters.sources.fleet_files import known_fleet

    lake = Lake(settings.lake_uri)
    name, fleet = known_fleet(reference, settings.home, lake)
    return FleetTables(lake, name), fleet
