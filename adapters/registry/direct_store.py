"""Versions and aliases straight from MLflow's database, for commands that would take longer to import MLflow."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

import sqlalchemy as sa
from sqlalchemy.orm import Session

from adapters.registry.mlflow_client import sqlite_file
from adapters.registry.sql_store import SqlStore, column_obstacle, obstacle

__all__ = ["open_direct"]

_WORKSPACES = "MLFLOW_ENABLE_WORKSPACES"


def open_direct(database: str) -> SqlStore | None:
    """Open the database; None where only MLflow can: it is new, of another kind, or of an unchecked version."""
    file = sqlite_file(database)
    if file is not None and not (file.exists() and file.stat().st_size):
        return None
    if obstacle(database, version("mlflow"), os.environ.get(_WORKSPACES, "").lower() in ("1", "true")):
        return None
    try:
        engine = sa.create_engine(database, pool_pre_ping=file is None)
        return SqlStore(_sessions(engine)) if column_obstacle(engine) is None else None
    except (ImportError, sa.exc.SQLAlchemyError):
        return None  # MLflow meets the same error, and reports it.


def _sessions(engine: sa.Engine) -> Callable[..., AbstractContextManager[Session]]:
    """Return sessions as MLflow's are: committed at the end, rolled back after an error."""

    @contextmanager
    def session_of(*, read_only: bool = False) -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            if engine.dialect.name == "sqlite":
                for pragma in ("foreign_keys = ON", "busy_timeout = 20000", "case_sensitive_like = true"):
                    session.execute(sa.text(f"PRAGMA {pragma}"))
            yield session

    return session_of
