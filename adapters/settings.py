"""Settings from the environment (MYRIAD_*); the defaults are the embedded size: everything below `var/`."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings", "embedded_defaults", "quiet_telemetry"]


class Settings(BaseSettings):
    """Where things are kept and how much of the machine is used. Only these differ between a laptop and a cluster."""

    model_config = SettingsConfigDict(env_prefix="MYRIAD_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=Path.cwd, description="Relative paths of fleet files and settings start here.")
    lake: str = Field("var/lake", description="Root of the tables: a folder or an s3:// uri.")
    tracking_uri: str = Field("", description="MLflow tracking uri; empty: SQLite below var/mlflow.")
    artifact_root: str = Field(
        "", description="Where MLflow keeps artifacts; empty: below var/mlflow, or the server's."
    )
    reports: str = Field("var/reports", description="Folder of the reports.")
    dask_address: str = Field("", description="Address of a running Dask scheduler; empty: workers of our own.")
    workers: int = Field(default_factory=lambda: max(1, min(os.cpu_count() or 1, 16)), ge=1)
    worker_memory: str = Field("auto", description="Memory limit of one worker of our own, such as 2GB.")

    def path(self, value: str) -> Path:
        """A local path, relative ones below `home`."""
        return (self.home / value).resolve()

    @property
    def lake_uri(self) -> str:
        """The lake as an absolute path or uri."""
        return self.lake if "://" in self.lake else str(self.path(self.lake))

    @property
    def mlflow_uri(self) -> str:
        """The tracking uri with the embedded default filled in."""
        return self.tracking_uri or f"sqlite:///{self.path('var/mlflow/mlflow.db')}"

    @property
    def mlflow_artifacts(self) -> str | None:
        """The artifact root with the embedded default filled in; None leaves it to the tracking server."""
        return self.artifact_root or (None if self.tracking_uri else str(self.path("var/mlflow/artifacts")))


def quiet_telemetry() -> None:
    """Nothing phones home: switch off what our libraries would send, unless the environment says otherwise."""
    for name, value in {
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    }.items():
        os.environ.setdefault(name, value)


def embedded_defaults(settings: Settings) -> None:
    """Settings of our libraries for a run without servers; what the environment says already stays."""
    quiet_telemetry()
    home = settings.path("var/prefect")
    home.mkdir(parents=True, exist_ok=True)  # Prefect's server waits for ever where it cannot make its home.
    for name, value in {
        "PREFECT_HOME": str(home),
        # Prefect's own 20 s are too short for the first start on a slow machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # Errors reach the caller as exceptions; a second copy in a log would only frighten.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }.items():
        os.environ.setdefault(name, value)
