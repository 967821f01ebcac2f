"""Commands for the parts of a cluster: certificates, and workers for a scheduler that runs elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from commands.common import told_errors
from models.errors import SettingsError

__all__ = ["tls", "workers"]


def tls(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="FOLDER")],
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address that the certificate is for; may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option(help="Days until it expires.", min=1, max=3650)] = 365,
) -> None:
    """Make certificates for the Dask scheduler, its workers and whoever uses them, signed by an authority of your own.

    Give every host ca.pem, cert.pem and key.pem, and keep ca-key.pem to yourself. With the authority in the folder, a
    new certificate takes the place of the old one.

    Example: myriad tls var/tls
    """
    from adapters.tls import make_certificates

    with told_errors():
        end = make_certificates(folder, host or ["localhost", "127.0.0.1"], days)
        typer.echo(f"{folder}: ca.pem, cert.pem and key.pem, valid until {end:%Y-%m-%d}")
        typer.echo(f"use       export MYRIAD_DASK_TLS={folder.resolve()}")


def workers(
    minimum: Annotated[
        int | None, typer.Option(help="Workers that stay when there is no work.", min=0, show_default="0")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option(help="Most workers at a time.", min=1, show_default="MYRIAD_WORKERS")
    ] = None,
) -> None:
    """Run workers on this host for the Dask scheduler at MYRIAD_DASK_ADDRESS: as many as there is work for.

    Example: myriad workers --maximum 8
    """
    from adapters.elastic import serve_workers
    from adapters.interrupts import stopping_on_signals
    from adapters.settings import Settings, quiet_telemetry

    given = {"min_workers": minimum, "workers": maximum}
    with told_errors(), stopping_on_signals():
        quiet_telemetry()
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        if not settings.dask_address:
            raise SettingsError("MYRIAD_DASK_ADDRESS is not set: which scheduler are the workers for?")
        serve_workers(settings, lambda: False, typer.echo)
