"""The cheap part of the examination, before any work starts: what is wrong is one line, not a run that fails late."""

from adapters.compute.tls import check_certificates
from adapters.health.servers import check_tracking_server
from adapters.lake.s3 import Bucket
from adapters.settings import Settings
from domain.errors import LakeError, SettingsError

__all__ = ["preflight"]


def preflight(settings: Settings, *, registers: bool) -> None:
    """One small question to each server that the settings name; nothing for what is on this machine's disk.

    registers : whether the run uses the registry. Scoring does not, and is not to fail where that is away.
    Raises SettingsError. The scheduler is asked when the workers are opened.
    """
    if settings.tls_folder is not None:
        check_certificates(settings.tls_folder)
    if settings.lake.startswith("s3://"):
        try:
            Bucket(settings.lake).reach()
        except LakeError as exc:
            raise SettingsError(f"MYRIAD_LAKE: {exc}") from exc
    if registers and settings.mlflow_uri.startswith(("http://", "https://")):
        check_tracking_server(settings.mlflow_uri)
