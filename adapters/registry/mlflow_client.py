"""Clients of MLflow, which is silenced first and imported late, because the import takes over a second."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.private_files import make_private
from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def silence() -> None:
    """Disable MLflow's usage reports in this process and its children, whatever was set before.

    Its lines on standard output, one per run that ends, are off as well, unless the environment requests them.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # It draws over our own by carriage returns.


def client(tracking_uri: str) -> "MlflowClient":
    """Return a client of that store; MLflow's global URI and MLFLOW_REGISTRY_URI are ignored.

    In an empty database this creates the tables (about a second). Call it within `one_at_a_time`.
    """
    silence()
    with domain_errors(f"cannot open {redacted(tracking_uri)}", tracking_uri), _setup_errors(tracking_uri):
        file = sqlite_file(tracking_uri)
        if file is not None and not (file.exists() and file.stat().st_size):
            # MLflow creates its tables in steps: a process killed between two steps must not leave half of them.
            unfinished = file.with_name(f"{file.name}.new")
            unfinished.unlink(missing_ok=True)
            make_private(unfinished)
            _opened(f"sqlite:///{unfinished}")
            unfinished.replace(file)
        return _opened(tracking_uri)


def _opened(tracking_uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    mlflow_client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    # The tracking store first: it creates missing tables under a lock, the registry store without one.
    mlflow_client.search_experiments(max_results=1)
    return mlflow_client


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the file of an SQLite database; None for any other store."""
    path = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    is_file = tracking_uri.startswith("sqlite:///") and path not in ("", ":memory:") and not path.startswith("file:")
    return Path(path) if is_file else None


@contextmanager
def one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Let one process at a time open an SQLite store: MLflow's own locks do not prevent two from creating its tables.

    The lock is a file beside the database, `<file>.lock`, which stays; a killed process loses it at once.
    """
    file = sqlite_file(tracking_uri)
    if file is None:
        yield
        return
    with ExitStack() as stack:
        with _setup_errors(tracking_uri):
            lock = stack.enter_context(file.with_name(f"{file.name}.lock").open("ab"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def domain_errors(action: str, secret_uri: str = "") -> Iterator[None]:
    """Raise errors of MLflow and the database as RegistryError, with the action that failed and without passwords."""
    try:
        yield
    except Exception as exc:
        if not _is_store_error(exc):
            raise
        text = str(exc).replace(secret_uri, redacted(secret_uri)) if secret_uri else str(exc)
        raise RegistryError(f"{action}: {text}") from exc


_STORE_ERRORS = (
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("mlflow.exceptions", "MlflowException"),
    ("alembic.util.exc", "CommandError"),
)


def _is_store_error(exc: Exception) -> bool:
    """Return True for an error of MLflow and the database; modules that are not imported have raised none."""
    modules = [(sys.modules.get(module), name) for module, name in _STORE_ERRORS]
    return isinstance(exc, tuple(getattr(module, name) for module, name in modules if module is not None))


@contextmanager
def _setup_errors(tracking_uri: str) -> Iterator[None]:
    """Raise a missing database driver or an unusable file, which the first connection meets, as RegistryError."""
    try:
        yield
    except ImportError as exc:
        raise RegistryError(f"cannot open {redacted(tracking_uri)}: install the database's driver: {exc}") from exc
    except OSError as exc:
        raise RegistryError(f"cannot open {redacted(tracking_uri)}: {exc}") from exc


def is_error(exc: Exception, code: str) -> bool:
    """Return True if an MLflow error has this code, such as ``RESOURCE_ALREADY_EXISTS``."""
    return getattr(exc, "error_code", None) == code


def redacted(uri: str) -> str:
    """Return the URI without user and password, for messages."""
    scheme, mark, rest = uri.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
