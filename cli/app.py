"""The commands of `myriad`. To add one, write a function in cli/commands/ and add it to `PANELS`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands import cluster, gateway, inspect, operate, run, stack, start

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."
PANELS: Mapping[str, tuple[Callable[..., None] | typer.Typer, ...]] = {
    "Start": (start.new, start.sample, start.simulate, start.check, start.size),
    "Run": (run.run, run.ingest, run.partition, run.train, run.promote, run.score),
    "Inspect": (inspect.status, inspect.explain, inspect.report, inspect.accuracy, inspect.export),
    "Operate": (
        inspect.doctor,
        *(operate.rollback, operate.pin, operate.registry, operate.maintain),
        *(operate.up, operate.down, operate.deploy),
    ),
    "Gateway": (gateway.serve, gateway.keys, gateway.webhooks),
    "Cluster": (cluster.tls, cluster.worker, cluster.workers, stack.stack),
}
"""Commands and groups of commands by panel of the help, in its order."""


class _Commands(TyperGroup):
    """Group that lists commands in the order of `PANELS`, and completes the help of each."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            for documented in (command, *getattr(command, "commands", {}).values()):
                documented.epilog = documented.epilog or EXIT_CODES
                _show_flags(documented, documented.params)
        return command

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        _show_flags(self, [*self.params, option])
        return option


def _show_flags(command: Any, params: Iterable[Any]) -> None:
    """Show options that take no value without one, where Typer shows `<bool>`."""
    own = command.get_help_option(typer.Context(command)) if not isinstance(command, _Commands) else None
    for param in (*params, own):
        if getattr(param, "is_flag", False):
            param.metavar = ""


app = typer.Typer(
    name="myriad",
    help="Train and run one model per segment, thousands at a time: from raw files to committed predictions.",
    cls=_Commands,
    epilog=f"To get started, run: myriad sample m3, myriad run m3, myriad status m3. {EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        if isinstance(command, typer.Typer):
            app.add_typer(command, rich_help_panel=panel)
        else:
            app.command(rich_help_panel=panel)(command)
app.add_typer(gateway.webhooks, name="hooks", hidden=True)  # former name


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        typer.echo(f"myriad {version('myriad-models')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""
