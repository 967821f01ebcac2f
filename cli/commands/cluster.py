"""Commands for the parts of a cluster: certificates, workers for Prefect, and workers for a Dask scheduler."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.common import report_errors, settings_of
from domain.errors import OrchestratorError, SettingsError

__all__ = ["tls", "worker", "workers"]


def tls(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="FOLDER")],
    host: Annotated[
        list[str] | None, typer.Option(help="Host name or address of the certificate; may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days until the certificate expires.", min=1, max=3650)] = 365,
) -> None:
    """Create certificates for the Dask scheduler, its workers and its clients, signed by your own authority.

    Copy ca.pem, cert.pem and key.pem to every host, and keep ca-key.pem private. An authority that is already in the
    folder signs the new certificate, which replaces the old one.

    Example: myriad tls var/tls
    """
    from adapters.compute.tls import make_certificates

    with report_errors():
        end = make_certificates(folder, host or ["localhost", "127.0.0.1"], days)
        typer.echo(f"{folder}: ca.pem, cert.pem and key.pem, valid until {end:%Y-%m-%d}")
        typer.echo(f"use       export MYRIAD_DASK_TLS={folder.resolve()}")


def worker(
    pool: Annotated[
        str, typer.Option(help="Prefect work pool to serve, of type process; created if missing.")
    ] = "local",
    name: Annotated[str, typer.Option(help="Name of the worker in Prefect.")] = "myriad",
    limit: Annotated[int, typer.Option(help="Maximum number of concurrent runs.", min=1)] = 2,
    spares: Annotated[int, typer.Option(help="Warm processes to keep ready, with imports done.", min=0)] = 1,
) -> None:
    """Execute runs started by schedules, events or people in Prefect, each in a warm process of its own.

    Works like `prefect worker start --type process`, without the seconds that a new process spends on imports.

    Example: myriad worker --limit 4 --spares 2
    """
    with report_errors():
        from adapters.orchestration.local_server import running_server
        from adapters.settings import quiet_telemetry

        settings = settings_of(None)
        quiet_telemetry()
        url = running_server(settings)
        if url is None:
            raise OrchestratorError("no Prefect server is known; start one: myriad up, or set PREFECT_API_URL")
        os.environ |= {"PREFECT_API_URL": url, "MYRIAD_HOME": str(settings.home.resolve())}
        from adapters.orchestration.warm_worker import serve_pool

        serve_pool(pool, name, limit, spares, typer.echo)


def workers(
    minimum: Annotated[int | None, typer.Option(help="Workers to keep when idle.", min=0, show_default="0")] = None,
    maximum: Annotated[
        int | None, typer.Option(help="Maximum number of workers.", min=1, show_default="MYRIAD_WORKERS")
    ] = None,
) -> None:
    """Run Dask workers on this host for the scheduler at MYRIAD_DASK_ADDRESS, scaled to the load.

    Example: myriad workers --maximum 8
    """
    from adapters.compute.autoscaler import serve_workers
    from adapters.compute.interrupts import stopping_on_signals
    from adapters.settings import Settings, quiet_telemetry

    options = {"min_workers": minimum, "workers": maximum}
    with report_errors(), stopping_on_signals():
        quiet_telemetry()
        settings = Settings(**{name: value for name, value in options.items() if value is not None})
        if not settings.dask_address:
            raise SettingsError(
                "MYRIAD_DASK_ADDRESS is not set: set it to the scheduler's address, such as tls://10.0.0.1:8786"
            )
        serve_workers(settings, lambda: False, typer.echo)
