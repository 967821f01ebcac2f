"""What the gateway remembers: endpoints, jobs, keys and who did what, in SQLite or PostgreSQL.

A job is written before anything is done for it, under a unique idempotency key: neither a client that asks twice
nor a gateway that dies makes two of it. Several gateways may share a database.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from models.accounts import parse_account
from models.batch import FINAL, BatchDeployment, BatchEndpoint, JobRequest, JobState, request_digest
from models.errors import GatewayError
from models.file_events import FileEvent
from models.hooks import Hook
from models.keys import Key
from models.subscriptions import DeliveryState, Subscription

__all__ = ["Delivery", "GatewayStore", "JobRecord", "Page", "new_job"]

_META = sa.MetaData()
_TEXT, _MOMENT = sa.Text, sa.String(32)
"""Moments are ISO 8601 texts in UTC with microseconds: they sort as they are, in every database."""
_ENDPOINTS = sa.Table(
    "endpoints",
    _META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", _MOMENT, nullable=False),
)
_JOBS = sa.Table(
    "jobs",
    _META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("endpoint", sa.String(64), nullable=False, index=True),
    sa.Column("deployment", sa.String(64), nullable=False),
    sa.Column("fleet", sa.String(64), nullable=False),
    sa.Column("client", sa.String(64), nullable=False),
    sa.Column("idempotency_key", sa.String(255)),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("request", _TEXT, nullable=False),
    sa.Column("settings", _TEXT, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", _TEXT, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("flow_run_id", sa.String(64)),
    sa.Column("progress", _TEXT),
    sa.Column("account", _TEXT),
    sa.Column("cancel", sa.Boolean, nullable=False),
    sa.Column("created_at", _MOMENT, nullable=False),
    sa.Column("started_at", _MOMENT),
    sa.Column("finished_at", _MOMENT),
    sa.UniqueConstraint("endpoint", "client", "idempotency_key"),
)
_KEYS = sa.Table(
    "keys",
    _META,
    sa.Column("prefix", sa.String(16), primary_key=True),
    sa.Column("client", sa.String(64), nullable=False),
    sa.Column("slot", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("scopes", _TEXT, nullable=False),
    sa.Column("endpoints", _TEXT, nullable=False),
    sa.Column("created_at", _MOMENT, nullable=False),
    sa.Column("expires_at", _MOMENT),
    sa.Column("revoked_at", _MOMENT),
)
_AUDIT = sa.Table(
    "audit",
    _META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", _MOMENT, nullable=False),
    sa.Column("client", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("target", sa.String(255), nullable=False),
    sa.Column("detail", _TEXT, nullable=False),
)
_HOOKS = sa.Table(
    "hooks",
    _META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("updated_at", _MOMENT, nullable=False),
)
_MESSAGES = sa.Table(
    "messages",
    _META,
    sa.Column("hook", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("received_at", _MOMENT, nullable=False, index=True),
)
_FILES = sa.Table(
    "files",
    _META,
    sa.Column("hook", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("uri", _TEXT, nullable=False),
    sa.Column("received_at", _MOMENT, nullable=False),
    sa.Column("job", sa.String(64), index=True),
)
_SUBSCRIPTIONS = sa.Table(
    "subscriptions",
    _META,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("definition", _TEXT, nullable=False),
    sa.Column("updated_at", _MOMENT, nullable=False),
)
_DELIVERIES = sa.Table(
    "deliveries",
    _META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("subscription", sa.String(64), nullable=False),
    sa.Column("message", sa.String(128), nullable=False),
    sa.Column("body", _TEXT, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", _MOMENT, nullable=False),
    sa.Column("reason", _TEXT, nullable=False),
    sa.UniqueConstraint("subscription", "message"),
)
_BUSY_S = 30


@dataclass(frozen=True)
class JobRecord:
    """A job as it is on record. client : whose key asked for it. attempt : runs that were started for it, from 0.

    settings : the deployment's and the job's together. account : of the run that completed it, as JSON.
    cancel : somebody has asked to cancel it.
    """

    id: str
    endpoint: str
    deployment: str
    fleet: str
    client: str
    request: JobRequest
    settings: Mapping[str, Any]
    created_at: datetime
    idempotency_key: str | None = None
    state: JobState = "queued"
    reason: str = ""
    attempt: int = 0
    flow_run_id: str | None = None
    progress: Mapping[str, Any] | None = None
    account: str | None = None
    cancel: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    number: int = field(default=0, compare=False)

    @property
    def final(self) -> bool:
        return self.state in FINAL


def new_job(
    endpoint: str,
    name: str,
    deployment: BatchDeployment,
    client: str,
    asked: JobRequest,
    idempotency_key: str | None = None,
) -> JobRecord:
    """A job that is not on record yet. name : of the deployment."""
    now = datetime.now(UTC)
    return JobRecord(
        id=f"job-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        endpoint=endpoint,
        deployment=name,
        fleet=deployment.fleet,
        client=client,
        request=asked,
        settings=asked.overrides.over(deployment.settings).model_dump(exclude_none=True),
        created_at=now,
        idempotency_key=idempotency_key,
    )


@dataclass(frozen=True)
class Delivery:
    """A message on its way to a subscriber. message : its id, which stays when it is sent again. reason : of the last
    attempt in vain.
    """

    number: int
    subscription: str
    message: str
    body: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    reason: str


@dataclass(frozen=True)
class Page:
    """Some jobs, the newest first. after : what to ask the next page with; None at the end."""

    jobs: Sequence[JobRecord]
    after: int | None


class GatewayStore:
    """The database of one gateway, or of several. All methods raise GatewayError if it cannot be used."""

    def __init__(self, url: str) -> None:
        """url : of SQLAlchemy, `sqlite:///...` or `postgresql+psycopg://...`; tables are made where there are none."""
        self._engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_arguments(url))
        if url.startswith("sqlite:///"):
            path = Path(url.removeprefix("sqlite:///"))
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            sa.event.listen(self._engine, "connect", _careful)
        with self._told():
            _META.create_all(self._engine)
        if url.startswith("sqlite:///"):
            os.chmod(url.removeprefix("sqlite:///"), 0o600)  # noqa: PTH101

    def close(self) -> None:
        self._engine.dispose()

    # -- endpoints ----------------------------------------------------------------------------------------------

    def endpoints(self) -> dict[str, BatchEndpoint]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(_ENDPOINTS).order_by(_ENDPOINTS.c.name)).mappings().all()
        return {row["name"]: BatchEndpoint.model_validate_json(row["definition"]) for row in rows}

    def endpoint(self, name: str) -> tuple[BatchEndpoint, int] | None:
        """One of them, and how often it was written."""
        with self._begin() as connection:
            row = connection.execute(sa.select(_ENDPOINTS).where(_ENDPOINTS.c.name == name)).mappings().first()
        return (BatchEndpoint.model_validate_json(row["definition"]), row["version"]) if row else None

    def put_endpoint(self, name: str, endpoint: BatchEndpoint, based_on: int | None = None) -> int | None:
        """Write an endpoint; returns its new version. based_on : the version seen; None is returned for another one."""
        values = {"definition": endpoint.model_dump_json(), "updated_at": _text(_now())}
        with self._begin() as connection:
            present = connection.execute(sa.select(_ENDPOINTS.c.version).where(_ENDPOINTS.c.name == name)).scalar()
            if based_on is not None and based_on != (present or 0):
                return None
            if present is None:
                connection.execute(sa.insert(_ENDPOINTS).values(name=name, version=1, **values))
                return 1
            change = sa.update(_ENDPOINTS).where(_ENDPOINTS.c.name == name, _ENDPOINTS.c.version == present)
            done = connection.execute(change.values(version=present + 1, **values))
        return present + 1 if done.rowcount else None

    # -- jobs ---------------------------------------------------------------------------------------------------

    def add_job(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Write a job, unless the client has one under the same idempotency key; the job, and whether it is new."""
        try:
            with self._begin() as connection:
                connection.execute(sa.insert(_JOBS).values(**_row(job), digest=request_digest(job.request)))
        except IntegrityError:
            if job.idempotency_key is None:
                raise
            found = self.job_of_key(job.endpoint, job.client, job.idempotency_key)
            if found is None:
                raise
            return found, False
        return job, True

    def job_of_key(self, endpoint: str, client: str, idempotency_key: str) -> JobRecord | None:
        columns = _JOBS.c
        asked = (columns.endpoint == endpoint, columns.client == client, columns.idempotency_key == idempotency_key)
        return self._one(sa.select(_JOBS).where(*asked))

    def job(self, job_id: str) -> JobRecord | None:
        return self._one(sa.select(_JOBS).where(_JOBS.c.id == job_id))

    def unfinished(self) -> list[JobRecord]:
        """Jobs that are not final, the oldest first."""
        query = sa.select(_JOBS).where(_JOBS.c.state.not_in(sorted(FINAL))).order_by(_JOBS.c.number)
        with self._begin() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def page(
        self,
        endpoint: str,
        limit: int,
        after: int | None = None,
        state: str | None = None,
        deployment: str | None = None,
        client: str | None = None,
    ) -> Page:
        """Jobs of an endpoint, the newest first. after : the `after` of the page before."""
        query = sa.select(_JOBS).where(_JOBS.c.endpoint == endpoint)
        wanted = {"state": state, "deployment": deployment, "client": client}
        query = query.where(*(_JOBS.c[name] == value for name, value in wanted.items() if value is not None))
        if after is not None:
            query = query.where(_JOBS.c.number < after)
        with self._begin() as connection:
            rows = connection.execute(query.order_by(_JOBS.c.number.desc()).limit(limit + 1)).mappings().all()
        jobs = [_record(row) for row in rows[:limit]]
        return Page(jobs, jobs[-1].number if len(rows) > limit else None)

    def change(self, job: JobRecord, **changes: Any) -> JobRecord | None:
        """Change a job, unless somebody else has changed its state or attempt since it was read; None then.

        Whoever is to be told of its end gets a message on record, in the same transaction.
        """
        columns, changed = _JOBS.c, replace(job, **changes)
        row = _row(changed)
        query = sa.update(_JOBS).where(columns.id == job.id, columns.state == job.state, columns.attempt == job.attempt)
        with self._begin() as connection:
            done = connection.execute(query.values({name: row[name] for name in changes})).rowcount
            if done and changed.final and not job.final:
                self._tell(connection, changed)
        return changed if done else None

    def _tell(self, connection: sa.Connection, job: JobRecord) -> None:
        moment, event = job.finished_at or _now(), f"job.{job.state}"
        body = json.dumps({"type": event, "timestamp": _text(moment), "data": job_facts(job)})
        for row in connection.execute(sa.select(_SUBSCRIPTIONS)).mappings():
            wish = Subscription.model_validate_json(row["definition"])
            if event in wish.events and wish.endpoint in (None, job.endpoint):
                values = {"subscription": row["name"], "message": f"{job.id}.{job.state}", "body": body}
                values |= {"state": "waiting", "attempts": 0, "due_at": _text(moment), "reason": ""}
                connection.execute(self._insert(_DELIVERIES).values(**values).on_conflict_do_nothing())

    # -- hooks --------------------------------------------------------------------------------------------------

    def hooks(self) -> dict[str, Hook]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(_HOOKS).order_by(_HOOKS.c.name)).mappings().all()
        return {row["name"]: Hook.model_validate_json(row["definition"]) for row in rows}

    def put_hook(self, name: str, hook: Hook) -> None:
        values = {"definition": hook.model_dump_json(), "updated_at": _text(_now())}
        with self._begin() as connection:
            done = connection.execute(sa.update(_HOOKS).where(_HOOKS.c.name == name).values(**values))
            if not done.rowcount:
                connection.execute(sa.insert(_HOOKS).values(name=name, **values))

    def take_files(self, hook: str, message: str | None, files: Sequence[FileEvent]) -> int | None:
        """Note files of a message to be scored; how many of them wait now. None: the message was taken before.

        message : its id; None where it has none.

        A file of the same version is noted once. Of one without a version nobody knows whether it has changed since it
        was scored: it is noted again, and the ledger of inputs tells.
        """
        moment = _text(_now())
        rows = {_file_key(file): {"uri": file.uri, "versioned": bool(file.version)} for file in files}
        with self._begin() as connection:
            if message is not None:
                name = hashlib.blake2b(message.encode(), digest_size=16).hexdigest()
                new = self._insert(_MESSAGES).values(hook=hook, id=name, received_at=moment).on_conflict_do_nothing()
                if not connection.execute(new).rowcount:
                    return None
            waiting = 0
            for key, row in sorted(rows.items()):
                note = self._insert(_FILES).values(hook=hook, key=key, uri=row["uri"], received_at=moment)
                if row["versioned"]:
                    note = note.on_conflict_do_nothing()
                else:
                    again = {"received_at": moment, "job": None}
                    note = note.on_conflict_do_update(index_elements=["hook", "key"], set_=again)
                waiting += connection.execute(note).rowcount
        return waiting

    def waiting_files(self, hook: str) -> list[tuple[str, str, datetime]]:
        """Key, uri and arrival of files that no job has, the oldest first."""
        query = sa.select(_FILES).where(_FILES.c.hook == hook, _FILES.c.job.is_(None))
        with self._begin() as connection:
            rows = connection.execute(query.order_by(_FILES.c.received_at, _FILES.c.key)).mappings().all()
        return [(row["key"], row["uri"], datetime.fromisoformat(row["received_at"])) for row in rows]

    def newest_notes(self, hook: str) -> dict[str, datetime]:
        """When each file was noted last, by uri."""
        query = sa.select(_FILES.c.uri, sa.func.max(_FILES.c.received_at)).where(_FILES.c.hook == hook)
        with self._begin() as connection:
            rows = connection.execute(query.group_by(_FILES.c.uri)).all()
        return {uri: datetime.fromisoformat(moment) for uri, moment in rows}

    def give_files(self, hook: str, keys: Sequence[str], job: JobRecord) -> bool:
        """Write a job and give it these files, in one transaction; False if another gateway has given some away."""
        with self._told(), self._engine.connect() as connection, connection.begin() as transaction:
            given = 0
            for first in range(0, len(keys), 500):
                mine = _FILES.c.key.in_(keys[first : first + 500])
                change = sa.update(_FILES).where(_FILES.c.hook == hook, _FILES.c.job.is_(None), mine)
                given += connection.execute(change.values(job=job.id)).rowcount
            if given != len(keys):
                transaction.rollback()
                return False
            connection.execute(sa.insert(_JOBS).values(**_row(job), digest=request_digest(job.request)))
        return True

    def forget_messages(self, before: datetime) -> int:
        """Forget which messages were taken before this moment: none of them will come again."""
        with self._begin() as connection:
            return connection.execute(sa.delete(_MESSAGES).where(_MESSAGES.c.received_at < _text(before))).rowcount

    # -- subscriptions ------------------------------------------------------------------------------------------

    def subscriptions(self) -> dict[str, Subscription]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(_SUBSCRIPTIONS).order_by(_SUBSCRIPTIONS.c.name)).mappings().all()
        return {row["name"]: Subscription.model_validate_json(row["definition"]) for row in rows}

    def put_subscription(self, name: str, subscription: Subscription) -> None:
        values = {"definition": subscription.model_dump_json(), "updated_at": _text(_now())}
        with self._begin() as connection:
            new = self._insert(_SUBSCRIPTIONS).values(name=name, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))

    def delete_subscription(self, name: str) -> bool:
        """Whether it was there. What is on its way to it is dropped."""
        with self._begin() as connection:
            connection.execute(sa.delete(_DELIVERIES).where(_DELIVERIES.c.subscription == name))
            return bool(connection.execute(sa.delete(_SUBSCRIPTIONS).where(_SUBSCRIPTIONS.c.name == name)).rowcount)

    def claim_deliveries(self, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Messages that are due, the oldest first; no other gateway gets them before `until`."""
        columns = _DELIVERIES.c
        due = (columns.state == "waiting", columns.due_at <= _text(now))
        claimed = []
        with self._begin() as connection:
            rows = connection.execute(sa.select(_DELIVERIES).where(*due).order_by(columns.due_at).limit(limit))
            for row in rows.mappings().all():
                mine = sa.update(_DELIVERIES).where(columns.number == row["number"], columns.due_at == row["due_at"])
                if connection.execute(mine.values(due_at=_text(until))).rowcount:
                    claimed.append(_delivery(row))
        return claimed

    def settle_delivery(self, delivery: Delivery, state: DeliveryState, due_at: datetime, reason: str) -> None:
        """What came of an attempt."""
        values = {"state": state, "attempts": delivery.attempts + 1, "due_at": _text(due_at), "reason": reason[:500]}
        with self._begin() as connection:
            connection.execute(sa.update(_DELIVERIES).where(_DELIVERIES.c.number == delivery.number).values(**values))

    def deliveries(self, subscription: str | None, state: str | None, limit: int) -> list[Delivery]:
        """Messages, the newest first."""
        wanted = {"subscription": subscription, "state": state}
        query = sa.select(_DELIVERIES).order_by(_DELIVERIES.c.number.desc()).limit(limit)
        query = query.where(*(_DELIVERIES.c[name] == value for name, value in wanted.items() if value is not None))
        with self._begin() as connection:
            return [_delivery(row) for row in connection.execute(query).mappings()]

    def replay(self, subscription: str, message: str | None) -> int:
        """Send messages again that were given up, or one whatever became of it; how many."""
        columns = _DELIVERIES.c
        which = columns.state == "dead" if message is None else columns.message == message
        change = sa.update(_DELIVERIES).where(columns.subscription == subscription, which)
        with self._begin() as connection:
            return connection.execute(change.values(state="waiting", attempts=0, due_at=_text(_now()))).rowcount

    # -- keys and audit -----------------------------------------------------------------------------------------

    def key(self, prefix: str) -> Key | None:
        with self._begin() as connection:
            row = connection.execute(sa.select(_KEYS).where(_KEYS.c.prefix == prefix)).mappings().first()
        return _key(row) if row else None

    def all_keys(self) -> list[Key]:
        with self._begin() as connection:
            rows = connection.execute(sa.select(_KEYS).order_by(_KEYS.c.client, _KEYS.c.created_at)).mappings().all()
        return [_key(row) for row in rows]

    def add_key(self, key: Key) -> None:
        values = {
            "client": key.client,
            "slot": key.slot,
            "prefix": key.prefix,
            "digest": key.digest,
            "scopes": json.dumps(key.scopes),
            "endpoints": json.dumps(key.endpoints),
            "created_at": _text(key.created_at),
            "expires_at": _text(key.expires_at),
            "revoked_at": _text(key.revoked_at),
        }
        with self._begin() as connection:
            connection.execute(sa.insert(_KEYS).values(**values))

    def revoke_key(self, prefix: str) -> bool:
        """Whether it was there, and held until now."""
        query = sa.update(_KEYS).where(_KEYS.c.prefix == prefix, _KEYS.c.revoked_at.is_(None))
        with self._begin() as connection:
            return bool(connection.execute(query.values(revoked_at=_text(_now()))).rowcount)

    def record(self, client: str, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Write down who did what; details must hold no secret."""
        values = {"at": _text(_now()), "client": client, "action": action, "target": target[:255]}
        with self._begin() as connection:
            connection.execute(sa.insert(_AUDIT).values(**values, detail=json.dumps(detail or {})))

    def audit(self, limit: int) -> list[Mapping[str, Any]]:
        """The newest entries, the last one first: at, client, action, target, detail."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(limit)).mappings().all()
        return [{**row, "detail": json.loads(row["detail"])} for row in rows]

    def alive(self) -> None:
        """Raises GatewayError if the database does not answer."""
        with self._begin() as connection:
            connection.execute(sa.text("SELECT 1"))

    def _insert(self, table: sa.Table) -> Any:
        """An insert that can say what happens to a row that is there already."""
        return (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert(table)

    def _one(self, query: sa.Select[Any]) -> JobRecord | None:
        with self._begin() as connection:
            row = connection.execute(query).mappings().first()
        return _record(row) if row else None

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as exc:
            place = self._engine.url.render_as_string(hide_password=True)
            raise GatewayError(f"MYRIAD_GATEWAY_DATABASE: {place} cannot be used: {str(exc).splitlines()[0]}") from exc


def job_facts(job: JobRecord) -> dict[str, Any]:
    """What others are told of a job's end; the rest is behind its address."""
    account = parse_account(job.account) if job.account else None
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "deployment": job.deployment,
        "fleet": job.fleet,
        "state": job.state,
        "reason": job.reason,
        "release": account.release if account else None,
        "predictions": account.rows if account else None,
        "job": f"/v1/batch/{job.endpoint}/jobs/{job.id}",
    }


def _delivery(row: Mapping[Any, Any]) -> Delivery:
    return Delivery(**{**row, "due_at": datetime.fromisoformat(row["due_at"])})


def _file_key(file: FileEvent) -> str:
    return hashlib.blake2b(f"{file.uri}\0{file.version}".encode(), digest_size=16).hexdigest()


def _arguments(url: str) -> dict[str, Any]:
    return {"timeout": _BUSY_S} if url.startswith("sqlite") else {}


def _careful(connection: Any, _: Any) -> None:
    """Readers and a writer at the same time, and nothing lost when the machine goes down."""
    for line in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_S * 1000}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}")


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _row(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "deployment": job.deployment,
        "fleet": job.fleet,
        "client": job.client,
        "idempotency_key": job.idempotency_key,
        "request": job.request.model_dump_json(),
        "settings": json.dumps(dict(job.settings)),
        "state": job.state,
        "reason": job.reason,
        "attempt": job.attempt,
        "flow_run_id": job.flow_run_id,
        "progress": json.dumps(dict(job.progress)) if job.progress else None,
        "account": job.account,
        "cancel": job.cancel,
        "created_at": _text(job.created_at),
        "started_at": _text(job.started_at),
        "finished_at": _text(job.finished_at),
    }


def _record(row: Mapping[Any, Any]) -> JobRecord:
    created = datetime.fromisoformat(row["created_at"])
    return JobRecord(
        id=row["id"],
        endpoint=row["endpoint"],
        deployment=row["deployment"],
        fleet=row["fleet"],
        client=row["client"],
        request=JobRequest.model_validate_json(row["request"]),
        settings=json.loads(row["settings"]),
        created_at=created,
        idempotency_key=row["idempotency_key"],
        state=row["state"],
        reason=row["reason"],
        attempt=row["attempt"],
        flow_run_id=row["flow_run_id"],
        progress=json.loads(row["progress"]) if row["progress"] else None,
        account=row["account"],
        cancel=bool(row["cancel"]),
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        number=row["number"],
    )


def _key(row: Mapping[Any, Any]) -> Key:
    slot: Literal["primary", "secondary"] = "secondary" if row["slot"] == "secondary" else "primary"
    return Key(
        client=row["client"],
        slot=slot,
        prefix=row["prefix"],
        digest=row["digest"],
        scopes=tuple(json.loads(row["scopes"])),
        endpoints=tuple(json.loads(row["endpoints"])),
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=_moment(row["expires_at"]),
        revoked_at=_moment(row["revoked_at"]),
    )
