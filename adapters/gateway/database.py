"""The gateway's database: SQLite or PostgreSQL, brought to the present schema when it is opened."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from adapters.gateway.schema import upgrade
from adapters.private_files import make_private
from domain.errors import GatewayError, RecordError, first_line

__all__ = ["GatewayDatabase"]

Row = TypeVar("Row")
Value = TypeVar("Value")
_BUSY_S = 30
_MOST_WARNED, _WARN_AGAIN_S = 1_000, 3600.0
_LOG = logging.getLogger("myriad.gateway")


class GatewayDatabase:
    """Transactions on the database of one gateway, or of several that share it."""

    def __init__(self, url: str) -> None:
        """Open the database, and create or upgrade its tables.

        Parameters
        ----------
        url : of SQLAlchemy, `sqlite:///...` or `postgresql+psycopg://...`.

        Raises
        ------
        GatewayError
            If it cannot be used, or a newer version of Myriad has upgraded it.
        """
        self._warned: TTLCache[str, bool] = TTLCache(_MOST_WARNED, _WARN_AGAIN_S)
        # Otherwise psycopg counts the rows of an insert as -1, whether it wrote them or they were there already.
        counted = {"preserve_rowcount": True}
        self._engine = sa.create_engine(
            url, pool_pre_ping=True, connect_args=_arguments(url), execution_options=counted
        )
        if url.startswith("sqlite:///"):
            _make_private(Path(url.removeprefix("sqlite:///")))
            sa.event.listen(self._engine, "connect", _configure_sqlite)
        with self._translated_errors():
            upgrade(self._engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def ping(self) -> None:
        """Raise GatewayError if the database does not answer."""
        with self.begin() as connection:
            connection.execute(sa.text("SELECT 1"))

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction that commits at the end of the block. Raises GatewayError if the database fails."""
        with self._translated_errors(), self._engine.begin() as connection:
            yield connection

    def take_turn(self, connection: sa.Connection, owner: str) -> None:
        """Let the transactions of an owner follow each other, so that each counts what the others wrote.

        SQLite has a single writer anyway; in PostgreSQL, transactions do not see each other's rows before their end.
        """
        if self._engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 0))"), {"owner": owner})

    def insert(self, table: sa.Table) -> Any:
        """Return an insert that can state what happens to a row that exists already."""
        return (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert(table)

    def readable(self, label: str, parse: Callable[[Row], Value], row: Row) -> Value | None:
        """Parse a row; return None, and log a warning from time to time, if it cannot be read.

        One odd record must not hide the others, whoever wrote it.
        """
        try:
            return parse(row)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            if label not in self._warned:
                self._warned[label] = True
                _LOG.warning("%s: its record cannot be read, and is left out: %s", label, first_line(exc))
            return None

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (DataError, OverflowError, UnicodeError) as exc:  # a value that the database cannot hold, such as NUL
            raise RecordError(
                f"MYRIAD_GATEWAY_DATABASE: a record cannot be written or read: {first_line(exc)}"
            ) from exc
        except SQLAlchemyError as exc:
            place = self._engine.url.render_as_string(hide_password=True)
            raise GatewayError(f"MYRIAD_GATEWAY_DATABASE: {place} cannot be used: {str(exc).splitlines()[0]}") from exc


def _arguments(url: str) -> dict[str, Any]:
    return {"timeout": _BUSY_S} if url.startswith("sqlite") else {}


def _make_private(database: Path) -> None:
    """Create the file with mode 0600: SQLite gives the same mode to the files that it makes beside it."""
    if not database.name or database.name == ":memory:":
        return
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(database)
        for suffix in ("-wal", "-shm"):
            beside = database.with_name(database.name + suffix)
            if beside.exists():
                make_private(beside)
    except OSError as exc:
        raise GatewayError(f"MYRIAD_GATEWAY_DATABASE: {database} cannot be used: {exc.strerror}") from exc


def _configure_sqlite(connection: Any, _: Any) -> None:
    """Let readers work beside a writer, and lose nothing when the machine goes down."""
    for line in (f"busy_timeout={_BUSY_S * 1000}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}")
    # The change to WAL does not wait for other connections that are about to make it, whatever the timeout says.
    for attempt in Retrying(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        stop=stop_after_delay(_BUSY_S),
        wait=wait_random_exponential(0.01, max=0.2),
        reraise=True,
    ):
        with attempt:
            connection.execute("PRAGMA journal_mode=WAL")
