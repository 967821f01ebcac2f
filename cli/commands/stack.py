"""Commands of the server stack: the services of docker-compose.yml as processes on this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.common import report_errors
from cli.options import AsJson
from domain.reporting.formatting import format_count

if TYPE_CHECKING:
    from adapters.local_stack import LocalStack

__all__ = ["stack"]

stack = typer.Typer(
    name="stack",
    help="The server stack: PostgreSQL, S3, MLflow, Prefect, Dask, as processes on this machine.",
    no_args_is_help=True,
)


def _stack() -> "LocalStack":
    import os

    from adapters.local_stack import LocalStack
    from adapters.settings import Settings

    return LocalStack(Settings().home, dict(os.environ))


@stack.command("init")
def init() -> None:
    """Write `.env` with random secrets for the stack.

    Example: myriad stack init
    """
    with report_errors():
        typer.echo(f"wrote {_stack().initialise()}; next: myriad stack up")


@stack.command("up")
def up() -> None:
    """Start the services of docker-compose.yml as processes, and wait until all are ready.

    Example: myriad stack up
    """
    import shlex

    with report_errors():
        stack = _stack()
        stack.up(typer.echo)
        environment = shlex.quote(str(stack.write_client_environment()))
        _print_addresses(stack)
        typer.echo(f"use       . {environment}\nstop      myriad stack down")


def _print_addresses(stack: "LocalStack") -> None:
    for address in stack.addresses():
        typer.echo(f"{address.service:<15} {address.url:<30} {address.account}")


@stack.command("urls")
def urls(as_json: AsJson = False) -> None:
    """List the addresses of the services, with the names of accounts and of the settings that hold their secrets.

    Example: myriad stack urls
    """
    with report_errors():
        if as_json:
            from cli.views.tables import print_json

            print_json(_stack().addresses())
        else:
            _print_addresses(_stack())


@stack.command("restart")
def restart(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; default: all.", metavar="[SERVICE]...")
    ] = None,
) -> None:
    """Restart services, or the whole stack, which then reads `.env` again; wait until all are ready.

    Example: myriad stack restart gateway
    """
    with report_errors():
        _stack().restart(services or (), typer.echo)


@stack.command("logs")
def logs(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services; default: all.", metavar="[SERVICE]...")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="Last lines of each log.")] = 20,
) -> None:
    """Print the last lines of the services' logs, which are in var/stack/logs.

    Example: myriad stack logs gateway -n 100
    """
    from cli.views.logs import print_tail

    with report_errors():
        files = _stack().log_files(services or ())
        for name, path in files.items():
            print_tail(name, path, lines)
    if not files:
        typer.echo("no service has a log yet; start them: myriad stack up")


@stack.command("down")
def down() -> None:
    """Stop the services; their data stays in var/stack.

    Example: myriad stack down
    """
    with report_errors():
        stopped = _stack().down()
    for entry in stopped:
        typer.echo(f"stopped {entry.name} (pid {entry.pid})")
    if not stopped:
        typer.echo("no services are running")


@stack.command("status")
def status(as_json: AsJson = False) -> None:
    """List the services with state, ports, start time and number of restarts.

    Example: myriad stack status
    """
    from datetime import UTC, datetime

    with report_errors():
        entries = _stack().entries()
        if as_json:
            from cli.views.tables import print_json

            print_json(entries)
            return
        for entry in entries:
            since = f"{datetime.fromtimestamp(entry.started, UTC):%Y-%m-%d %H:%M} UTC" if entry.pid else ""
            ports = " ".join(map(str, entry.ports))
            restarts = format_count(entry.restarts, "restart") if entry.restarts else ""
            parts = (f"{entry.name:<15}", f"{entry.status:<10}", f"{ports:<6}", f"{since:<21}", restarts, entry.told)
            typer.echo(" ".join(parts).rstrip())
        if not entries:
            typer.echo("no services are running; start them: myriad stack up")
            raise typer.Exit(1)


@stack.command("env")
def env() -> None:
    """Write `var/stack/env`, which points the commands of a shell that sources it to the stack.

    It holds the secrets of the stack; only you can read it.

    Example: myriad stack env
    """
    import shlex

    with report_errors():
        path = _stack().write_client_environment()
        typer.echo(f"wrote {path}; next: . {shlex.quote(str(path))}")
