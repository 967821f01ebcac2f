"""Registration by SQL through MLflow's own table classes, one transaction per bucket.

These classes are MLflow's internals. `obstacle` returns the reason when they must not be used; the public API is used
then. MLflow's server also calls webhooks when it writes rows; this path does not.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception, wait_random_exponential

from adapters.registry.types import FINGERPRINT_TAG, Pending, Registration, StoredVersion, sorted_by_name
from domain.errors import RegistryError

FIRST_CHECKED = (3, 17)
FIRST_UNCHECKED = (3, 18)
_ATTEMPTS = 10
_OUTAGE_LIMIT_S = 90.0
"""Limit for a database that is away; conflicts with other writers end after `_ATTEMPTS`."""
_NAMES_PER_QUERY = 500
_DELETED = "Deleted_Internal"  # mlflow.entities.model_registry.model_version_stages.STAGE_DELETED_INTERNAL
_WORKSPACE = "default"
_COLUMNS = {
    "registered_models": "workspace name creation_time last_updated_time description",
    "registered_model_tags": "workspace name key value",
    "registered_model_aliases": "workspace name alias version",
    "model_versions": "workspace name version creation_time last_updated_time description user_id current_stage source "
    "storage_location run_id run_link status status_message",
    "model_version_tags": "workspace name version key value",
}
_NUMBERS = frozenset({"version", "creation_time", "last_updated_time"})
_ALIAS_NAME = re.compile(r"[\w\-]{1,255}")
_RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)
T = TypeVar("T")
Rows = list[dict[str, object]]
Sessions = Callable[..., AbstractContextManager[Session]]


@dataclass
class _NameVersions:
    """Registered versions of a name: the highest number ever used, and the live versions."""

    newest: int = 0
    by_fingerprint: dict[str, int] = field(default_factory=dict)


def obstacle(tracking_uri: str, mlflow_version: str, workspaces: bool) -> str | None:
    """Return a reason against the bulk path that is known without a connection; None if there is none."""
    if tracking_uri.split(":")[0].split("+")[0] not in ("sqlite", "postgresql"):
        return "the tracking URI is neither an SQLite nor a PostgreSQL database"
    release = tuple(int(part) for part in mlflow_version.split(".")[:2] if part.isdigit())
    if not FIRST_CHECKED <= release < FIRST_UNCHECKED:
        return f"MLflow {mlflow_version} was not checked; 3.17 was"
    return "MLflow's workspaces are in use" if workspaces else None


def column_obstacle(engine: sa.Engine) -> str | None:
    """Return the reason why this database's tables cannot be written in bulk; None if they are as expected."""
    inspector = sa.inspect(engine)
    for table, expected in _COLUMNS.items():
        columns = {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()
        if columns != set(expected.split()):
            difference = ", ".join(sorted(columns ^ set(expected.split())))
            return f"table {table} has other columns than MLflow 3.17's: {difference}"
    return None


class SqlStore:
    """Version store on the database; a call registers all of its models in one transaction, or none.

    Concurrent writers: a name's versions and fingerprints are read in one statement, and a new version gets the number
    after the highest one. If another writer came first, the primary key (name, version) rejects the insert, the whole
    transaction is rolled back and repeated after a random pause, now with the fingerprints of the other writer.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._models, self._model_tags, self._aliases, self._versions, self._version_tags = _tables()

    def versions(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """See VersionStore."""
        known = self._retried(lambda session: self._read_versions(session, names), "list versions", read_only=True)
        return {name: model.by_fingerprint for name, model in known.items() if model.by_fingerprint}

    def stored(self, names: Sequence[str]) -> list[StoredVersion]:
        """See VersionStore."""
        versions, tags = self._versions, self._version_tags
        columns = (versions.c.name, versions.c.version, tags.c.value, versions.c.source)
        selection = sa.select(*columns, versions.c.run_id, versions.c.creation_time).select_from(self._tagged())
        live = (versions.c.current_stage != _DELETED, tags.c.value.is_not(None))

        def read(session: Session) -> list[StoredVersion]:
            queries = [self._of(versions, chunk, selection, *live) for chunk in _chunks(names)]
            ordered = [query.order_by(versions.c.name, versions.c.version) for query in queries]
            return [StoredVersion(*row) for query in ordered for row in session.execute(query)]

        return self._retried(read, "list versions", read_only=True)

    def aliases(self, alias: str, tag: tuple[str, str], names: Sequence[str]) -> dict[str, int]:
        """See VersionStore."""
        table, tags = self._aliases, self._model_tags
        selection = sa.select(table.c.name, table.c.version)
        has_alias = (table.c.workspace == _WORKSPACE, table.c.alias == alias)
        tagged = sa.select(tags.c.name).where(
            tags.c.workspace == _WORKSPACE, tags.c.key == tag[0], tags.c.value == tag[1]
        )
        queries = [selection.where(*has_alias, table.c.name.in_(tagged))]
        queries += [self._of(table, chunk, selection, *has_alias) for chunk in _chunks(names)]
        return self._retried(
            lambda session: {row.name: int(row.version) for query in queries for row in session.execute(query)},
            f"list alias {alias!r}",
            read_only=True,
        )

    def register(self, pending: Sequence[Pending]) -> list[Registration]:
        """See VersionStore."""
        _check(pending)
        return self._retried(lambda session: self._register(session, pending), f"register {len(pending)} models")

    def set_alias(self, alias: str, versions: Mapping[str, int]) -> int:
        """See VersionStore; changes nothing if one of the versions does not exist."""
        # MLflow's own rules; to import them takes longer than to set the aliases.
        if not _ALIAS_NAME.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias):
            raise RegistryError(f"alias {alias!r}: MLflow takes letters, digits, _ and -; latest and v1 are reserved")
        changed, missing = self._retried(
            lambda session: self._set_alias(session, alias, versions), f"set alias {alias!r}"
        )
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise RegistryError(f"cannot set alias {alias!r}: no version {', '.join(missing[:3])}{more}; none was set")
        return changed

    def delete_alias(self, alias: str, names: Sequence[str]) -> int:
        """See VersionStore."""
        table = self._aliases
        return self._retried(
            lambda session: sum(
                session.connection().execute(self._of(table, chunk, sa.delete(table), table.c.alias == alias)).rowcount
                for chunk in _chunks(names)
            ),
            f"delete alias {alias!r}",
        )

    def _register(self, session: Session, pending: Sequence[Pending]) -> list[Registration]:
        names = [item.name for item in pending]
        known = self._read_versions(session, names)
        new = [item for item in pending if item.fingerprint not in known.get(item.name, _NameVersions()).by_fingerprint]
        # A former number is free if it is above every number ever used.
        numbered = [
            (item, max(known.get(item.name, _NameVersions()).newest + 1, item.version)) for item in sorted_by_name(new)
        ]
        now_ms = int(time.time() * 1000)
        self._insert_models(session, [item for item, _ in numbered], now_ms)
        self._insert_versions(session, numbered, now_ms)
        created = {item.name: version for item, version in numbered}
        return [
            Registration(item.name, created[item.name], created=True)
            if item.name in created
            else Registration(item.name, known[item.name].by_fingerprint[item.fingerprint], created=False)
            for item in pending
        ]

    def _insert_models(self, session: Session, new: Sequence[Pending], now_ms: int) -> None:
        """Create the registered models that are missing, and set the update time of the others, as MLflow does."""
        table = self._models
        existing: set[str] = set()
        for chunk in _chunks([item.name for item in new]):
            existing.update(session.execute(self._of(table, chunk, sa.select(table.c.name))).scalars())
        for chunk in _chunks(sorted(existing)):
            session.execute(self._of(table, chunk, sa.update(table).values(last_updated_time=now_ms)))
        missing = [item for item in new if item.name not in existing]
        times: dict[str, object] = {"creation_time": now_ms, "last_updated_time": now_ms}
        _insert(session, table, [_row(item.name, description=item.description, **times) for item in missing])
        tags = [_row(item.name, key=key, value=value) for item in missing for key, value in item.model_tags.items()]
        _insert(session, self._model_tags, tags)

    def _insert_versions(self, session: Session, numbered: Sequence[tuple[Pending, int]], now_ms: int) -> None:
        versions = [
            _row(
                item.name,
                version=version,
                creation_time=now_ms,
                last_updated_time=now_ms,
                description=item.description,
                current_stage="None",
                source=item.source,
                storage_location=item.source,
                run_id=item.run_id,
                status="READY",
            )
            for item, version in numbered
        ]
        _insert(session, self._versions, versions)
        tags = [
            _row(item.name, version=version, key=key, value=value)
            for item, version in numbered
            for key, value in item.tags.items()
        ]
        _insert(session, self._version_tags, tags)

    def _set_alias(self, session: Session, alias: str, versions: Mapping[str, int]) -> tuple[int, list[str]]:
        """Return the number of changed aliases; or, with nothing changed, the versions that do not exist."""
        table = self._aliases
        live: set[tuple[str, int]] = set()
        current: dict[str, int] = {}
        for chunk in _chunks(versions):
            listed = sa.select(self._versions.c.name, self._versions.c.version)
            existing = self._of(self._versions, chunk, listed, self._versions.c.current_stage != _DELETED)
            live.update((name, number) for name, number in session.execute(existing))
            pointed = self._of(table, chunk, sa.select(table.c.name, table.c.version), table.c.alias == alias)
            current.update((name, number) for name, number in session.execute(pointed))
        missing = [f"{name} {version}" for name, version in sorted(versions.items()) if (name, version) not in live]
        if missing:
            return 0, missing
        new = [(name, number) for name, number in sorted(versions.items()) if name not in current]
        moved = [(name, number) for name, number in sorted(versions.items()) if current.get(name, number) != number]
        _insert(session, table, [_row(name, alias=alias, version=number) for name, number in new])
        if moved:
            row = sa.and_(table.c.workspace == _WORKSPACE, table.c.alias == alias, table.c.name == sa.bindparam("of"))
            change = sa.update(table).where(row).values(version=sa.bindparam("to"))
            session.connection().execute(change, [{"of": name, "to": number} for name, number in moved])
        return len(new) + len(moved), []

    def _read_versions(self, session: Session, names: Sequence[str]) -> dict[str, _NameVersions]:
        """Read the versions of these names, each name in one statement: numbers and fingerprints of the same moment."""
        versions, tags = self._versions, self._version_tags
        selection = sa.select(versions.c.name, versions.c.version, versions.c.current_stage, tags.c.value)
        selection = selection.select_from(self._tagged())
        known: dict[str, _NameVersions] = {}
        for chunk in _chunks(names):
            query = self._of(versions, chunk, selection).order_by(versions.c.name, versions.c.version)
            for name, version, stage, fingerprint in session.execute(query):
                model = known.setdefault(name, _NameVersions())
                model.newest = version
                if stage != _DELETED and fingerprint is not None:
                    model.by_fingerprint.setdefault(fingerprint, version)
        return known

    def _tagged(self) -> sa.Join:
        """Join versions with the tag of their fingerprint, if they have one."""
        versions, tags = self._versions, self._version_tags
        same = sa.and_(*(versions.c[key] == tags.c[key] for key in ("workspace", "name", "version")))
        return versions.outerjoin(tags, sa.and_(same, tags.c.key == FINGERPRINT_TAG))

    def _of(self, table: sa.Table, names: Sequence[str], statement: T, *more: sa.ColumnElement[bool]) -> T:
        """Return the statement, limited to these names."""
        return statement.where(table.c.workspace == _WORKSPACE, table.c.name.in_(names), *more)  # type: ignore[attr-defined,no-any-return]

    def _retried(self, work: Callable[[Session], T], action: str, *, read_only: bool = False) -> T:
        """Do `work` in a session; repeat it after a conflict, or while the database is away for a minute."""
        retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=_is_exhausted,
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
        )

        def attempt() -> T:
            with self._sessions(read_only=read_only) as session:
                return work(session)

        try:
            return retrying(attempt)
        except RetryError as error:
            last = error.last_attempt
            exc = last.exception()
            cause = _cause(exc) if exc else None
            raise RegistryError(f"cannot {action}: gave up after {last.attempt_number} attempts: {cause}") from exc


def _tables() -> tuple[sa.Table, ...]:
    """Return MLflow's tables, which `column_obstacle` has compared with the database."""
    metadata = sa.MetaData()

    def column(name: str) -> sa.Column[object]:
        return sa.Column(name, sa.BigInteger if name in _NUMBERS else sa.String)

    return tuple(sa.Table(name, metadata, *map(column, columns.split())) for name, columns in _COLUMNS.items())


def _is_transient(exc: BaseException) -> bool:
    """Return True for a conflict with another writer, and for a database that does not answer."""
    return isinstance(_cause(exc), sa.exc.OperationalError | sa.exc.IntegrityError)


def _cause(exc: BaseException) -> BaseException:
    """Return the error of the database: MLflow's sessions raise one of their own in its place."""
    return exc if isinstance(exc, sa.exc.SQLAlchemyError) else exc.__cause__ or exc


def _is_exhausted(state: RetryCallState) -> bool:
    """Return True once the attempts are used up and, for a database that is away, `_OUTAGE_LIMIT_S` have passed."""
    exc = state.outcome.exception() if state.outcome else None
    is_away = exc is not None and isinstance(_cause(exc), sa.exc.OperationalError)
    return state.attempt_number >= _ATTEMPTS and not (is_away and (state.seconds_since_start or 0.0) < _OUTAGE_LIMIT_S)


def _check(pending: Sequence[Pending]) -> None:
    """Reject what MLflow's API would reject, with the same messages."""
    from mlflow.utils.validation import (
        _validate_model_name,
        _validate_model_version_tag,
        _validate_registered_model_tag,
    )

    for item in pending:
        _validate_model_name(item.name)
    # Values have been cut to fit already, and the keys of a bucket are few.
    for key in {key for item in pending for key in item.tags}:
        _validate_model_version_tag(key, "")  # type: ignore[no-untyped-call]
    for key in {key for item in pending for key in item.model_tags}:
        _validate_registered_model_tag(key, "")  # type: ignore[no-untyped-call]


def _row(name: str, **columns: object) -> dict[str, object]:
    return {"workspace": _WORKSPACE, "name": name, **columns}


def _insert(session: Session, table: sa.Table, rows: Rows) -> None:
    """Insert rows with the same columns into a table."""
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        session.execute(sa.insert(table), rows)
        return
    # Straight to the driver: the values are texts and whole numbers, and SQLAlchemy's work per row takes longer than
    # the insert. On other databases it joins rows into statements, which saves more.
    statement = sa.insert(table).compile(dialect=connection.dialect, column_keys=list(rows[0]))
    names = [str(name) for name in statement.positiontup or ()]
    connection.exec_driver_sql(str(statement), [tuple(row[name] for name in names) for row in rows])


def _chunks(names: Mapping[str, object] | Sequence[str]) -> Iterator[list[str]]:
    ordered = sorted(set(names))
    for start in range(0, len(ordered), _NAMES_PER_QUERY):
        yield ordered[start : start + _NAMES_PER_QUERY]
