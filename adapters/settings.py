"""Settings from the environment (MYRIAD_* and the libraries' own names); the defaults run everything on one machine.

Contradictory settings raise a SettingsError before anything starts.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import SettingsError

__all__ = [
    "LEAST_WORKER_BYTES",
    "TLS_FILES",
    "Settings",
    "embedded_defaults",
    "load_environment",
    "quiet_names",
    "quiet_telemetry",
    "server_environment",
]

PREFIX = "MYRIAD_"
FAMILIES = (PREFIX, "AWS_", "DASK_", "MLFLOW_", "PREFECT_")
"""Prefixes of the environment variables that a `.env` file may set for our commands."""
LEAST_WORKER_BYTES = 500_000_000
"""A worker takes 350 MB before its first task. Dask gives it none above 80 % of its limit, so that a run would wait."""
_MORE_MEMORY = f"at least {LEAST_WORKER_BYTES // 10**6}MB, since a worker takes 350MB before its first task, or auto"
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


class Settings(BaseSettings):
    """Locations, and the share of the machine to use: all that differs between a laptop and a cluster.

    Raises
    ------
    SettingsError
        One line per value that is invalid or contradicts another.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Path = Field(default_factory=Path.cwd, description="Base of relative paths in fleet files and settings.")
    lake: str = Field("var/lake", description="Root of the tables: a folder or an s3:// uri.")
    tracking_uri: str = Field(
        default_factory=lambda: os.environ.get("MLFLOW_TRACKING_URI", ""),
        description="MLflow tracking uri; empty: MLFLOW_TRACKING_URI, or SQLite below var/mlflow.",
    )
    artifact_root: str = Field(
        "", description="Location of MLflow's artifacts; empty: below var/mlflow, or the server's."
    )
    registry_database: str = Field(
        "", description="Database of the tracking server, to register models in bulk; empty: through its API."
    )
    registry_files: str = Field(
        "",
        description="Location behind the server's mlflow-artifacts:/, to write files directly; empty: through it.",
    )
    reports: str = Field("var/reports", description="Folder of the reports.")
    dask_address: str = Field("", description="Address of a running Dask scheduler; empty: local workers.")
    dask_tls: str = Field("", description="Folder with ca.pem, cert.pem and key.pem for tls:// addresses.")
    dask_require_tls: bool = Field(False, description="Refuse a scheduler whose address is not tls://.")
    workers: int = Field(default_factory=lambda: max(1, min(os.cpu_count() or 1, 16)), ge=1)
    min_workers: int | None = Field(None, ge=0, description="Local workers that stay when idle; none: all of them.")
    worker_memory: str = Field("auto", description="Memory limit of a local worker, such as 2GB.")
    retention_hours: int = Field(168, ge=24, description="Hours before `maintain` deletes unreferenced files.")
    gateway_database: str = Field(
        "", description="Database of the gateway, postgresql+psycopg://...; empty: SQLite below var/gateway."
    )
    gateway_roots: str = Field(
        "", description="Locations, separated by commas, whose files any job may score, besides its fleet's own source."
    )
    gateway_outputs: str = Field(
        "", description="Locations, separated by commas, where jobs may write prediction files."
    )
    gateway_hosts: str = Field(
        "", description="Host names, separated by commas, by which clients may address the gateway; empty: any."
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="Addresses and networks of proxies whose X-Forwarded-For `myriad serve --behind-proxy` believes.",
    )
    gateway_cache_mib: int = Field(
        4096, ge=1, description="MiB of downloaded output that the gateway keeps below var/gateway/outputs."
    )
    gateway_queued_jobs: int = Field(100, ge=1, description="Jobs of a client that have not ended, at most.")
    gateway_kept_jobs: int = Field(
        100_000, ge=1, description="Jobs of a client on record, ended ones included, at most."
    )
    gateway_upload_mib: int = Field(2048, ge=1, description="MiB of a client's uploads, at most.")
    gateway_waiting_files: int = Field(
        100_000, ge=1, description="Files of a trigger that wait for a job, at most; further messages get 429."
    )
    gateway_retention_days: int = Field(
        90,
        ge=1,
        description="Days before ended jobs, ended deliveries, files of triggers and audit entries are deleted.",
    )
    gateway_upload_days: int = Field(7, ge=1, description="Days before uploads are deleted.")
    gateway_secret: SecretStr | None = Field(
        None, description="Secrets, separated by commas, for links to output; none: a random one below var/gateway."
    )
    jwt_issuer: str = Field("", description="Issuer whose tokens (JWT) the gateway accepts beside its keys.")
    jwt_audience: str = Field("", description="Required `aud` claim of the tokens.")
    jwt_keys: str = Field("", description="The issuer's key set (JWKS): an https:// address, or a file.")
    jwt_scope_claim: str = Field("scope", min_length=1, description="Claim of the tokens that holds scopes.")
    jwt_scope_prefix: str = Field("myriad:", description="Prefix of scopes that are meant for Myriad.")
    log_format: Literal["text", "json"] = Field(
        "text", description="Form of the logs of `myriad serve` and of the stack's supervisor: text or json."
    )
    webhook_hosts: str = Field(
        "", description="Hosts, separated by commas, that outgoing webhooks may go to, such as app.example.org."
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Secrets, separated by commas, that sign outgoing webhooks (Standard Webhooks), whsec_ and base64.",
    )
    worker_lifetime: str = Field("", description="Time after which a local worker is replaced, such as 1h.")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            messages = [f"{_variable(error['loc'])}: {_message(error)}" for error in exc.errors()]
            raise SettingsError("\n".join(messages)) from None
        if messages := list(_contradictions(self, os.environ)):
            raise SettingsError("\n".join(messages))

    @field_validator("tracking_uri")
    @classmethod
    def _or_mlflow_variable(cls, value: str) -> str:
        return value or os.environ.get("MLFLOW_TRACKING_URI", "")

    @field_validator("worker_memory")
    @classmethod
    def _is_size(cls, value: str) -> str:
        if value != "auto":
            from dask.utils import (
                parse_bytes,
            )  # Imported here: it takes as long as everything else, and is rarely needed.

            _check(value, parse_bytes, "a size such as 2GB, or auto")
            # Dask takes 0 as no limit, and a number below 1 as a share of the machine.
            if 1 < parse_bytes(value) < LEAST_WORKER_BYTES:
                raise ValueError(_MORE_MEMORY)
        return value

    @field_validator("worker_lifetime")
    @classmethod
    def _is_time(cls, value: str) -> str:
        if value:
            from dask.utils import parse_timedelta

            _check(value, parse_timedelta, "a time such as 30m or 2h")
        return value

    def path(self, value: str) -> Path:
        """Return an absolute local path; a relative one starts at `home`."""
        return (self.home / value).resolve()

    @property
    def lake_uri(self) -> str:
        """Absolute path or URI of the lake."""
        return self.lake if "://" in self.lake else str(self.path(self.lake))

    @property
    def mlflow_uri(self) -> str:
        """Tracking URI, or its embedded default."""
        return self.tracking_uri or f"sqlite:///{self.path('var/mlflow/mlflow.db')}"

    @property
    def mlflow_artifacts(self) -> str | None:
        """Artifact root, or its embedded default; None leaves it to the tracking server."""
        return self.artifact_root or (None if self.tracking_uri else str(self.path("var/mlflow/artifacts")))

    @property
    def gateway_url(self) -> str:
        """URL of the gateway's database, or its embedded default."""
        return self.gateway_database or f"sqlite:///{self.path('var/gateway/gateway.db')}"

    @property
    def tls_folder(self) -> Path | None:
        """Folder of the certificates; None without TLS."""
        return self.path(self.dask_tls) if self.dask_tls else None


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + str(location[0]).upper() if location else "settings"


def _message(error: Any) -> str:
    value, kind = error["input"], error["type"]
    allowed = {
        "int_parsing": "give a whole number",
        "bool_parsing": "give true or false",
        "greater_than_equal": f"give at least {error.get('ctx', {}).get('ge')}",
        "value_error": f"give {error.get('ctx', {}).get('error')}",
    }
    return f"{value!r} is not allowed; {allowed.get(kind, error['msg'])}"


def _check(value: str, parse: Callable[[str], object], allowed: str) -> None:
    try:
        parse(value)
    except (ValueError, KeyError, TypeError):
        raise ValueError(allowed) from None


def _contradictions(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield one line per pair of settings that contradict each other."""
    if settings.min_workers is not None and settings.min_workers > settings.workers:
        yield (
            f"MYRIAD_MIN_WORKERS: {settings.min_workers} is more than MYRIAD_WORKERS = {settings.workers}; "
            "lower the one or raise the other"
        )
    mlflow_uri = environment.get("MLFLOW_TRACKING_URI", "")
    if mlflow_uri and settings.tracking_uri != mlflow_uri:
        yield "MYRIAD_TRACKING_URI and MLFLOW_TRACKING_URI name different places; unset one of them"
    direct_access = {
        "MYRIAD_REGISTRY_DATABASE": settings.registry_database,
        "MYRIAD_REGISTRY_FILES": settings.registry_files,
    }
    if settings.tracking_uri.startswith(("http://", "https://")):
        if settings.artifact_root:
            yield (
                f"MYRIAD_ARTIFACT_ROOT: {settings.artifact_root} has no effect, since the tracking server at "
                "MYRIAD_TRACKING_URI decides where artifacts are kept; unset it"
            )
    elif variables := [name for name, value in direct_access.items() if value]:
        names = " and ".join(variables)
        yield f"{names} without a tracking server: set MYRIAD_TRACKING_URI to http://HOST:PORT, or unset this"
    yield from _dask_contradictions(settings)
    yield from _s3_contradictions(settings, environment)


def _dask_contradictions(settings: Settings) -> Iterator[str]:
    address, folder = settings.dask_address, settings.tls_folder
    scheme = address.partition("://")[0] if "://" in address else "tcp"
    if address and scheme not in ("tcp", "tls"):
        yield f"MYRIAD_DASK_ADDRESS: {address}: {scheme}:// is not allowed; give tcp://HOST:PORT or tls://HOST:PORT"
    elif address and settings.dask_require_tls and scheme != "tls":
        yield f"MYRIAD_DASK_ADDRESS: {address} is not encrypted, and MYRIAD_DASK_REQUIRE_TLS is set; give tls://HOST:PORT"
    elif address and folder is not None and scheme != "tls":
        yield f"MYRIAD_DASK_ADDRESS: {address} is not encrypted, and MYRIAD_DASK_TLS is set; give tls://, or unset it"
    elif scheme == "tls" and folder is None:
        yield (
            f"MYRIAD_DASK_ADDRESS: {address} needs certificates; set MYRIAD_DASK_TLS to the folder that "
            "`myriad tls FOLDER` has made for the scheduler"
        )
    if folder is not None and (missing := [name for name in TLS_FILES if not (folder / name).is_file()]):
        yield f"MYRIAD_DASK_TLS: {folder} has no {', '.join(missing)}; `myriad tls {folder}` makes them"


def _s3_contradictions(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    if not settings.lake.startswith("s3://"):
        return
    if environment.get("AWS_S3_ALLOW_UNSAFE_RENAME", "").lower() in ("1", "true"):
        yield "AWS_S3_ALLOW_UNSAFE_RENAME is set: two commits at once could lose one of them; unset it"
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    if endpoint.startswith("http://") and environment.get("AWS_ALLOW_HTTP", "").lower() not in ("1", "true"):
        yield f"AWS_ENDPOINT_URL: {endpoint} is not encrypted; set AWS_ALLOW_HTTP=true to allow that, or use https://"
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if bool(key) != bool(secret):
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        yield "{} is set without {}; set both, or neither".format(*(names if key else names[::-1]))


def load_environment(folder: Path) -> None:
    """Set the variables of `.env` in this folder that concern Myriad and its libraries; existing ones stay."""
    for name, value in dotenv_values(folder / ".env").items():
        if value is not None and name.startswith(FAMILIES):
            os.environ.setdefault(name, value)


_TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
}


def quiet_names() -> Mapping[str, str]:
    """Return the variables that switch off the telemetry of our libraries, with their values."""
    return _TELEMETRY_OFF


def quiet_telemetry() -> None:
    """Switch off the telemetry of our libraries, unless the environment says otherwise."""
    for name, value in _TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)


def embedded_defaults(settings: Settings) -> None:
    """Set the variables of our libraries for a run without servers; existing ones stay."""
    quiet_telemetry()
    home = settings.path("var/prefect")
    # Prefect's server waits forever if it cannot create its home.
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in {
        "PREFECT_HOME": str(home),
        # Prefect's own 20 s are too short for the first start on a slow machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # Errors reach the caller as exceptions; a second copy in a log would only alarm.
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }.items():
        os.environ.setdefault(name, value)


def server_environment(
    settings: Settings, port: int, environment: Mapping[str, str], auth_string: str
) -> dict[str, str]:
    """Return the environment of a local Prefect server, its worker, and the runs that the worker starts.

    Parameters
    ----------
    settings : Settings
        Source of the home folders.
    port : int
        Port of the server on 127.0.0.1.
    environment : mapping of str to str
        Variables to start from; they override the defaults, except home and addresses.
    auth_string : str
        User and password that server and clients share.
    """
    defaults = _TELEMETRY_OFF | {
        "PREFECT_HOME": str(settings.path("var/prefect")),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # In memory, a restarted server would lose the slots of its runs, and cancel them.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # Seconds after which a run that waits for another of its deployment tries again, instead of 30.
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
        # For `prefect deployment run --watch`, which shows log lines as they arrive.
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_API_AUTH_STRING": auth_string,
        "PREFECT_API_AUTH_STRING": auth_string,
        # Pages of the UI only, by both names of this machine.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
    }
    fixed = {
        "MYRIAD_HOME": str(settings.home.resolve()),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        # Not as option --port: the UI would look for the API at the default port.
        "PREFECT_SERVER_API_PORT": str(port),
    }
    return defaults | dict(environment) | fixed
