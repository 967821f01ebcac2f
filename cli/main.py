"""The `myriad` command."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands import cluster, gateway, operate, run, start
from cli.commands import inspect as look
from cli.commands.stack import stack

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."
PANELS: Mapping[str, tuple[Callable[..., None], ...]] = {
    "Start": (start.new, start.sample, start.simulate, start.check, start.size),
    "Run": (run.run, run.ingest, run.partition, run.train, run.promote, run.score),
    "Look": (look.status, look.explain, look.report, look.accuracy, look.export),
    "Operate": (look.doctor, operate.rollback, operate.pin, operate.maintain, operate.up, operate.down, operate.deploy),
    "Gateway": (gateway.serve,),
    "Cluster": (cluster.tls, cluster.worker, cluster.workers),
}


class _Commands(TyperGroup):
    """Commands in the order they were added; the help of each tells the exit codes."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in self.commands.values():
            for each in (command, *getattr(command, "commands", {}).values()):
                each.epilog = each.epilog or EXIT_CODES

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    name="myriad",
    help="One model per segment, ten thousand at a time: raw files to committed predictions.",
    cls=_Commands,
    epilog=f"Begin with: myriad sample m3, then myriad run m3, then myriad status m3. {EXIT_CODES}",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
registry = typer.Typer(help="The model registry (MLflow).", no_args_is_help=True)
registry.command("sync")(operate.registry_sync)
app.add_typer(registry, name="registry", rich_help_panel="Operate")
app.add_typer(gateway.keys, name="keys", rich_help_panel="Gateway")
app.add_typer(gateway.webhooks, name="webhooks", rich_help_panel="Gateway")
app.add_typer(gateway.webhooks, name="hooks", hidden=True)  # Its former name.
app.add_typer(stack, name="stack", rich_help_panel="Cluster")


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


def main() -> None:
    """Entry point."""
    # Not one of the commands' own imports: it would cost every `--help`.
    if Path(".env").is_file():
        from adapters.settings import load_environment

        load_environment(Path())
    app(prog_name="myriad")
