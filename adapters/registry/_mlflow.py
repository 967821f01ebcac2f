"""The one place where MLflow is imported: late, because that takes over a second, and silenced first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def silence() -> None:
    """Forbid MLflow's usage reports in this process and in those it starts, whatever was set before."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"


def client(tracking_uri: str) -> "MlflowClient":
    """A client of that store; neither the global URI nor MLFLOW_REGISTRY_URI has a say.

    On an empty database this makes the tables (about a second), under MLflow's lock between processes.
    """
    silence()
    from mlflow import MlflowClient

    with domain_errors(f"cannot open {redacted(tracking_uri)}"):
        made = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        # The tracking store first: it makes missing tables under a lock, the registry store makes them without.
        made.search_experiments(max_results=1)
    return made


@contextmanager
def domain_errors(action: str) -> Iterator[None]:
    """Turn what MLflow raises into RegistryError, with the action that failed."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as exc:
        raise RegistryError(f"{action}: {exc.message}") from exc


def is_error(exc: Exception, code: str) -> bool:
    """Whether an MLflow error carries that code, such as ``RESOURCE_ALREADY_EXISTS``."""
    return getattr(exc, "error_code", None) == code


def redacted(uri: str) -> str:
    """The URI without user and password, for messages."""
    scheme, mark, rest = uri.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
