"""Commands that operate fleets: releases, the registry, maintenance and the local server."""

from typing import Annotated

import typer

from cli.common import display_progress, interruptible, print_result, report_errors, settings_of, tables_of
from cli.options import AsJson, FleetPath, LakePath, complete_fleet, complete_segment
from domain.errors import OrchestratorError

__all__ = ["deploy", "down", "maintain", "pin", "registry", "rollback", "up"]

registry = typer.Typer(name="registry", help="Manage the model registry (MLflow).", no_args_is_help=True)


def rollback(
    fleet: FleetPath,
    to: Annotated[int, typer.Option("--to", help="Release to restore.", min=1)],
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Put the champions of an earlier release back in force, as a new release.

    Example: myriad rollback m3 --to 2
    """
    with report_errors(), interruptible():
        from flows.actions import roll_back

        with display_progress(as_json):
            summary = roll_back(fleet, to, lake)
        from flows.stage_runner import document

        message = f"release {summary.release} is in force with {summary.promoted:,} champions: {summary.reason}"
        print_result(document(summary), lambda _: typer.echo(message), as_json)


def pin(
    fleet: FleetPath,
    segment: Annotated[
        str | None,
        typer.Argument(
            help="Segment key, such as store=2/brand=5.", metavar="SEGMENT", autocompletion=complete_segment
        ),
    ] = None,
    version: Annotated[
        int | None, typer.Argument(help="Registered version of its model.", metavar="VERSION", min=1)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the pin, so that challengers compete again.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the pinned segments.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Pin a segment to a registered version of its model, as a new release. Promotions do not replace it.

    A pin is part of its release: a rollback restores the pins of the release that it goes back to.

    Example: myriad pin m3 series=n1402 2
    """
    if listed == (segment is not None) or (segment is not None and off == (version is not None)):
        raise typer.BadParameter("give SEGMENT VERSION, or SEGMENT --off, or --list")
    from cli.views.release import print_pin, print_pins

    with report_errors(), interruptible():
        if segment is None:
            from domain.data.tables import CHAMPIONS
            from tasks.workers.release import pinned_segments

            print_result(pinned_segments(tables_of(settings_of(lake), fleet)[0][CHAMPIONS]), print_pins, as_json)
            return
        from flows.actions import pin_segment

        with display_progress(as_json):
            summary = pin_segment(fleet, segment, version, lake)
        print_result(summary, print_pin, as_json)


@registry.command("sync")
def registry_sync(
    fleet: FleetPath,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the differences without repairing them.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Repair MLflow from the lake: lost models and files, version numbers, champion aliases.

    Example: myriad registry sync m3 --dry-run
    """
    with report_errors(), interruptible():
        from flows.actions import prepare_run

        prepare_run(fleet)
        from cli.views.release import print_sync
        from flows.sync_registry import sync_registry

        with display_progress(as_json):
            summary = sync_registry(fleet, lake=lake, dry_run=dry_run)
        print_result(summary, print_sync, as_json)


def maintain(
    fleet: Annotated[
        str | None,
        typer.Argument(help="Fleet; default: all fleets in the lake.", metavar="FLEET", autocompletion=complete_fleet),
    ] = None,
    retention_hours: Annotated[
        int | None,
        typer.Option(
            help="Hours for which unreferenced files are kept.", min=24, show_default="MYRIAD_RETENTION_HOURS"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the changes without making them.")] = False,
    lake: LakePath = None,
    as_json: AsJson = False,
) -> None:
    """Merge small files, delete unreferenced ones, shorten logs and abort unfinished uploads.

    It may run alongside any other command.

    Example: myriad maintain m3 --dry-run
    """
    from adapters.lake.table import Lake
    from adapters.orchestration.local_server import prepare_server
    from adapters.sources.fleet_files import known_fleet
    from cli.views.maintain import print_maintenance

    with report_errors(), interruptible():
        settings = settings_of(lake)
        store = Lake(settings.lake_uri)
        names = store.fleets() if fleet is None else [known_fleet(fleet, settings.home, store)[0]]
        if names:
            prepare_server(settings)
        from flows.maintain import maintain as flow

        with display_progress(as_json):
            summaries = [flow(name, lake=lake, retention_hours=retention_hours, dry_run=dry_run) for name in names]
        print_result(summaries, print_maintenance, as_json)


def up(
    fleet: Annotated[
        list[str] | None, typer.Option(help="Fleet to deploy; may be repeated; default: all in fleets/.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the UI and the API.", min=1, max=65535, show_default="4200")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay in the foreground; Ctrl-C stops everything.")
    ] = False,
) -> None:
    """Start a Prefect server with its UI and a worker on this machine, and deploy fleets to it.

    Returns when everything is ready; `myriad down` stops it. If it is running already, prints its addresses.

    Example: myriad up --fleet fleets/m3.yaml
    """
    import os

    from adapters.compute.interrupts import stopping_on_signals
    from adapters.orchestration.local_server import LocalServerManager, describe_server
    from adapters.settings import Settings
    from flows.local_server import bring_up, watch

    settings = Settings()
    manager = LocalServerManager(settings, dict(os.environ))
    with report_errors(), stopping_on_signals():
        with manager.locked():
            server = bring_up(manager, settings, port, fleet or (), typer.echo)
        typer.echo("\n".join(describe_server(server, manager.logs)))
        if foreground:
            try:
                watch(manager, server)
            finally:
                with manager.locked():
                    manager.stop()


def down() -> None:
    """Stop the Prefect server and the worker started by `myriad up`, together with runs in progress.

    Example: myriad down
    """
    import os

    from adapters.orchestration.local_server import LocalServerManager
    from adapters.settings import Settings

    manager = LocalServerManager(Settings(), dict(os.environ))
    with report_errors(), manager.locked():
        stopped = manager.stop()
    for child in stopped:
        typer.echo(f"stopped the {child.role} (pid {child.pid})")
    if not stopped:
        typer.echo("nothing is running here")


def deploy(
    fleets: Annotated[
        list[str] | None,
        typer.Argument(help="Fleet files, or names of fleets in fleets/; default: all in fleets/.", metavar="FLEET"),
    ] = None,
) -> None:
    """Deploy all flows of fleets to the server started by `myriad up`, or to that of PREFECT_API_URL.

    Schedules that were activated or changed on the server stay as they are.

    Example: myriad deploy fleets/m3.yaml
    """
    from adapters.orchestration.local_server import running_server
    from adapters.settings import Settings, embedded_defaults
    from flows.local_server import deploy_fleets, find_fleets

    with report_errors():
        settings = Settings()
        definitions = find_fleets(settings, fleets or (), typer.echo)
        url = running_server(settings)
        if url is None:
            raise OrchestratorError("no Prefect server is running here; start one (myriad up), or set PREFECT_API_URL")
        embedded_defaults(settings)
        for label in deploy_fleets(url, definitions):
            typer.echo(label)
