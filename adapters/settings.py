"""Settings from the environment (MYRIAD_*); the defaults are the embedded size: everything below `var/`."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings", "embedded_defaults", "quiet_telemetry", "stack_environment"]


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


_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}


def quiet_telemetry() -> None:
    """Nothing phones home: switch off what our libraries would send, unless the environment says otherwise."""
    for name, value in _QUIET.items():
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


def stack_environment(settings: Settings, port: int, given: Mapping[str, str]) -> dict[str, str]:
    """Environment of a local Prefect server and its worker, and so of the runs that the worker starts.

    given : the environment that it is made from; what it says already stays, but for the addresses.
    """
    defaults = _QUIET | {
        "PREFECT_HOME": str(settings.path("var/prefect")),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # In memory, a restarted server would cancel the runs whose places it has forgotten.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # For `prefect deployment run --watch`, which shows log lines as they come.
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    ours = {
        "MYRIAD_HOME": str(settings.home.resolve()),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        # Not by the option --port: the UI would look for the API at the default port.
        "PREFECT_SERVER_API_PORT": str(port),
    }
    return defaults | dict(given) | ours
