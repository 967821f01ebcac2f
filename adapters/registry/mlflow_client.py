"""The one place where MLflow is imported: late, because that takes over a second, and silenced first."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def silence() -> None:
    """Forbid MLflow's usage reports in this process and in those it starts, whatever was set before.

    Its lines on standard output, one for each run that ends, are off too, unless they were asked for.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def client(tracking_uri: str) -> "MlflowClient":
    """A client of that store; neither the global URI nor MLFLOW_REGISTRY_URI has a say.

    On an empty database this makes the tables (about a second). Call it within `one_at_a_time`.
    """
    silence()
    with domain_errors(f"cannot open {redacted(tracking_uri)}", tracking_uri), _setup_errors(tracking_uri):
        file = _sqlite_file(tracking_uri)
        if file is not None and not (file.exists() and file.stat().st_size):
            # Its tables are made in steps: a process that is killed between two of them must not leave half of them.
            unfinished = file.with_name(f"{file.name}.new")
            unfinished.unlink(missing_ok=True)
            _opened(f"sqlite:///{unfinished}")
            unfinished.replace(file)
        return _opened(tracking_uri)


def _opened(tracking_uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    made = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    # The tracking store first: it makes missing tables under a lock, the registry store makes them without.
    made.search_experiments(max_results=1)
    return made


def _sqlite_file(tracking_uri: str) -> Path | None:
    """The database's file; None where it is none."""
    path = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    plain = tracking_uri.startswith("sqlite:///") and path not in ("", ":memory:") and not path.startswith("file:")
    return Path(path) if plain else None


@contextmanager
def one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Lets one process at a time open a SQLite store: MLflow's own locks leave a race of two that make its tables.

    The lock is a file beside the database, `<file>.lock`, which stays; the system drops the lock of a killed process.
    """
    file = _sqlite_file(tracking_uri)
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
    """Turn what MLflow and the database raise into RegistryError: the action that failed, no password."""
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (CommandError, MlflowException, SQLAlchemyError) as exc:
        text = str(exc).replace(secret_uri, redacted(secret_uri)) if secret_uri else str(exc)
        raise RegistryError(f"{action}: {text}") from exc


@contextmanager
def _setup_errors(tracking_uri: str) -> Iterator[None]:
    """A missing database driver or an impossible file, met on the first connection."""
    try:
        yield
    except ImportError as exc:
        raise RegistryError(f"cannot open {redacted(tracking_uri)}: install the database's driver: {exc}") from exc
    except OSError as exc:
        raise RegistryError(f"cannot open {redacted(tracking_uri)}: {exc}") from exc


def is_error(exc: Exception, code: str) -> bool:
    """Whether an MLflow error carries that code, such as ``RESOURCE_ALREADY_EXISTS``."""
    return getattr(exc, "error_code", None) == code


def redacted(uri: str) -> str:
    """The URI without user and password, for messages."""
    scheme, mark, rest = uri.partition("://")
    return scheme + mark + rest.rpartition("@")[2]
