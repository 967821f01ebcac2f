"""Check servers and certificates before a run, so that a fault is one line and not a late failure."""

from adapters.lake.s3 import Bucket
from adapters.settings import Settings
from domain.errors import LakeError, SettingsError

__all__ = ["preflight"]


def preflight(settings: Settings, *, registers: bool) -> None:
    """Send one small request to each configured server; parts on the local disk need no check.

    registers : True if the run uses the registry; scoring does not, and must not fail while the registry is down.
    Raises SettingsError if a part is not usable. The scheduler is checked when the workers are opened.
    """
    if settings.tls_folder is not None:
        from adapters.compute.tls import check_certificates  # Here and below: embedded parts need none of it.

        check_certificates(settings.tls_folder)
    if settings.lake.startswith("s3://"):
        try:
            Bucket(settings.lake).reach()
        except LakeError as exc:
            raise SettingsError(f"MYRIAD_LAKE: {exc}") from exc
    if registers and settings.mlflow_uri.startswith(("http://", "https://")):
        from adapters.health.servers import check_tracking_server

        check_tracking_server(settings.mlflow_uri)
