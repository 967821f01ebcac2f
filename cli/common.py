"""Shared parts of the commands: settings, error messages, progress, and the output of results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from cli.views.console import print_error
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
    "print_result",
    "report_errors",
    "settings_of",
    "tables_of",
]

T = TypeVar("T")

INTERRUPTED = "interrupted; nothing half-written is visible, run the same command to resume"
INPUT_ERRORS = (FleetError, SourceError, PartitionError, RequestError, SettingsError, UnknownNameError)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn Myriad's errors into one message and an exit code; others keep their traceback."""
    try:
        yield
    except MyriadError as exc:
        print_error(str(exc))
        raise typer.Exit(2 if isinstance(exc, INPUT_ERRORS) else 1) from exc
    except Exception as exc:
        from flows.failures import explain_failure

        message = explain_failure(exc)
        if message is None:
            raise
        print_error(message)
        raise typer.Exit(1) from exc


@contextmanager
def interruptible() -> Iterator[None]:
    """End the run with its servers and workers at once on Ctrl-C."""
    from adapters.compute.interrupts import leaving_on_interrupt

    with leaving_on_interrupt(INTERRUPTED):
        yield


@contextmanager
def display_progress(as_json: bool) -> Iterator[None]:
    """Display the progress of the stages; on stderr if stdout is reserved for a JSON document."""
    import sys
    from contextlib import nullcontext, redirect_stdout

    from cli.views import progress

    with redirect_stdout(sys.stderr) if as_json else nullcontext(), progress.display_progress():
        yield


def print_result(value: T, printer: Callable[[T], None], as_json: bool) -> None:
    """Print a result as one JSON document, or by its printer for human readers."""
    from cli.views.tables import print_json

    print_json(value) if as_json else printer(value)


def settings_of(lake: str | None) -> "Settings":
    """Load the settings. lake : folder or uri that overrides theirs."""
    from adapters.settings import Settings

    return Settings(lake=lake) if lake else Settings()


def tables_of(settings: "Settings", reference: str) -> "tuple[FleetTables, Fleet | None]":
    """Return the tables of a fleet that has a file or is in the lake, and its definition if there is a file."""
    from adapters.lake.table import Lake
    from adapters.queries.fleet_tables import FleetTables
    from adapters.sources.fleet_files import known_fleet

    lake = Lake(settings.lake_uri)
    name, fleet = known_fleet(reference, settings.home, lake)
    return FleetTables(lake, name), fleet
