"""What the gateway remembers: endpoints, jobs, keys and who did what, in SQLite or PostgreSQL.

A job is written before anything is done for it, under a unique idempotency key: neither a client that asks twice
nor a gateway that dies makes two of it. Several gateways may share a database.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from adapters.gateway.records import (
    Delivery,
    JobRecord,
    Page,
    delivery_of,
    job_facts,
    job_of,
    job_row,
    key_of,
    now,
    text_of,
)
from adapters.gateway.tables import (
    AUDIT,
    DELIVERIES,
    ENDPOINTS,
    EVENTS,
    FILES,
    HOOKS,
    JOBS,
    KEYS,
    MESSAGES,
    META,
    SUBSCRIPTIONS,
)
from domain.errors import GatewayError
from domain.gateway.api_keys import Key
from domain.gateway.file_events import FileEvent
from domain.gateway.fleet_events import FleetEvent
from domain.gateway.inbound_hooks import Hook
from domain.gateway.jobs import FINAL, BatchEndpoint, request_digest
from domain.gateway.subscriptions import DeliveryState, Subscription

__all__ = ["GatewayStore"]

_BUSY_S = 30


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
            META.create_all(self._engine)
        if url.startswith("sqlite:///"):
            os.chmod(url.removeprefix("sqlite:///"), 0o600)  # noqa: PTH101

    def close(self) -> None:
        self._engine.dispose()

    # -- endpoints ----------------------------------------------------------------------------------------------

    def endpoints(self) -> dict[str, BatchEndpoint]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(ENDPOINTS).order_by(ENDPOINTS.c.name)).mappings().all()
        return {row["name"]: BatchEndpoint.model_validate_json(row["definition"]) for row in rows}

    def endpoint(self, name: str) -> tuple[BatchEndpoint, int] | None:
        """One of them, and how often it was written."""
        with self._begin() as connection:
            row = connection.execute(sa.select(ENDPOINTS).where(ENDPOINTS.c.name == name)).mappings().first()
        return (BatchEndpoint.model_validate_json(row["definition"]), row["version"]) if row else None

    def put_endpoint(self, name: str, endpoint: BatchEndpoint, based_on: int | None = None) -> int | None:
        """Write an endpoint; returns its new version. based_on : the version seen; None is returned for another one."""
        values = {"definition": endpoint.model_dump_json(), "updated_at": text_of(now())}
        with self._begin() as connection:
            present = connection.execute(sa.select(ENDPOINTS.c.version).where(ENDPOINTS.c.name == name)).scalar()
            if based_on is not None and based_on != (present or 0):
                return None
            if present is None:
                new = self._insert(ENDPOINTS).values(name=name, version=1, **values).on_conflict_do_nothing()
                return 1 if connection.execute(new).rowcount else None
            change = sa.update(ENDPOINTS).where(ENDPOINTS.c.name == name, ENDPOINTS.c.version == present)
            done = connection.execute(change.values(version=present + 1, **values))
        return present + 1 if done.rowcount else None

    # -- jobs ---------------------------------------------------------------------------------------------------

    def add_job(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Write a job, unless the client has one under the same idempotency key; the job, and whether it is new."""
        try:
            with self._begin() as connection:
                connection.execute(sa.insert(JOBS).values(**job_row(job), digest=request_digest(job.request)))
        except IntegrityError:
            if job.idempotency_key is None:
                raise
            found = self.job_of_key(job.endpoint, job.client, job.idempotency_key)
            if found is None:
                raise
            return found, False
        return job, True

    def job_of_key(self, endpoint: str, client: str, idempotency_key: str) -> JobRecord | None:
        columns = JOBS.c
        asked = (columns.endpoint == endpoint, columns.client == client, columns.idempotency_key == idempotency_key)
        return self._one(sa.select(JOBS).where(*asked))

    def job(self, job_id: str) -> JobRecord | None:
        return self._one(sa.select(JOBS).where(JOBS.c.id == job_id))

    def unfinished(self) -> list[JobRecord]:
        """Jobs that are not final, the oldest first."""
        query = sa.select(JOBS).where(JOBS.c.state.not_in(sorted(FINAL))).order_by(JOBS.c.number)
        with self._begin() as connection:
            return [job_of(row) for row in connection.execute(query).mappings()]

    def page(
        self,
        endpoint: str,
        limit: int,
        after: int | None = None,
        state: str | None = None,
        deployment: str | None = None,
    ) -> Page:
        """Jobs of an endpoint, the newest first. after : the `after` of the page before."""
        query = sa.select(JOBS).where(JOBS.c.endpoint == endpoint)
        wanted = {"state": state, "deployment": deployment}
        query = query.where(*(JOBS.c[name] == value for name, value in wanted.items() if value is not None))
        if after is not None:
            query = query.where(JOBS.c.number < after)
        with self._begin() as connection:
            rows = connection.execute(query.order_by(JOBS.c.number.desc()).limit(limit + 1)).mappings().all()
        jobs = [job_of(row) for row in rows[:limit]]
        return Page(jobs, jobs[-1].number if len(rows) > limit else None)

    def change(self, job: JobRecord, **changes: Any) -> JobRecord | None:
        """Change a job, unless somebody else has changed its state or attempt since it was read; None then.

        Whoever is to be told of its end gets a message on record, in the same transaction.
        """
        columns, changed = JOBS.c, replace(job, **changes)
        row = job_row(changed)
        query = sa.update(JOBS).where(columns.id == job.id, columns.state == job.state, columns.attempt == job.attempt)
        with self._begin() as connection:
            done = connection.execute(query.values({name: row[name] for name in changes})).rowcount
            if done and changed.final and not job.final:
                self._tell(connection, changed)
        return changed if done else None

    def _tell(self, connection: sa.Connection, job: JobRecord) -> None:
        moment, event = job.finished_at or now(), f"job.{job.state}"
        body = json.dumps({"type": event, "timestamp": text_of(moment), "data": job_facts(job)})
        for row in connection.execute(sa.select(SUBSCRIPTIONS)).mappings():
            wish = Subscription.model_validate_json(row["definition"])
            if event in wish.events and wish.endpoint in (None, job.endpoint):
                self._post(connection, row["name"], f"{job.id}.{job.state}", body, moment)

    def tell_news(self, subscription: str, news: FleetEvent) -> bool:
        """Put a message about news on record, unless the subscriber was told before; whether it is new."""
        data = {"fleet": news.fleet, "run_id": news.run_id, **news.data}
        body = json.dumps({"type": news.event, "timestamp": text_of(news.at), "data": data})
        with self._begin() as connection:
            return self._post(connection, subscription, news.id, body, now())

    def _post(self, connection: sa.Connection, subscription: str, message: str, body: str, due: datetime) -> bool:
        values: dict[str, Any] = {"subscription": subscription, "message": message, "body": body}
        values |= {"state": "waiting", "attempts": 0, "due_at": text_of(due), "reason": ""}
        return bool(connection.execute(self._insert(DELIVERIES).values(**values).on_conflict_do_nothing()).rowcount)

    # -- hooks --------------------------------------------------------------------------------------------------

    def hooks(self) -> dict[str, Hook]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(HOOKS).order_by(HOOKS.c.name)).mappings().all()
        return {row["name"]: Hook.model_validate_json(row["definition"]) for row in rows}

    def put_hook(self, name: str, hook: Hook) -> None:
        values = {"definition": hook.model_dump_json(), "updated_at": text_of(now())}
        with self._begin() as connection:
            new = self._insert(HOOKS).values(name=name, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))

    def take_files(self, hook: str, message: str | None, files: Sequence[FileEvent]) -> int | None:
        """Note files of a message to be scored; how many of them wait now. None: the message was taken before.

        message : its id; None where it has none.

        A file of the same version is noted once. Of one without a version nobody knows whether it has changed since it
        was scored: it is noted again, and the ledger of inputs tells.
        """
        moment = text_of(now())
        rows = {_file_key(file): {"uri": file.uri, "versioned": bool(file.version)} for file in files}
        with self._begin() as connection:
            if message is not None:
                name = hashlib.blake2b(message.encode(), digest_size=16).hexdigest()
                new = self._insert(MESSAGES).values(hook=hook, id=name, received_at=moment).on_conflict_do_nothing()
                if not connection.execute(new).rowcount:
                    return None
            waiting = 0
            for key, row in sorted(rows.items()):
                note = self._insert(FILES).values(hook=hook, key=key, uri=row["uri"], received_at=moment)
                if row["versioned"]:
                    note = note.on_conflict_do_nothing()
                else:
                    again = {"received_at": moment, "job": None}
                    note = note.on_conflict_do_update(index_elements=["hook", "key"], set_=again)
                waiting += connection.execute(note).rowcount
        return waiting

    def waiting_files(self, hook: str) -> list[tuple[str, str, datetime]]:
        """Key, uri and arrival of files that no job has, the oldest first."""
        query = sa.select(FILES).where(FILES.c.hook == hook, FILES.c.job.is_(None))
        with self._begin() as connection:
            rows = connection.execute(query.order_by(FILES.c.received_at, FILES.c.key)).mappings().all()
        return [(row["key"], row["uri"], datetime.fromisoformat(row["received_at"])) for row in rows]

    def newest_notes(self, hook: str) -> dict[str, datetime]:
        """When each file was noted last, by uri."""
        query = sa.select(FILES.c.uri, sa.func.max(FILES.c.received_at)).where(FILES.c.hook == hook)
        with self._begin() as connection:
            rows = connection.execute(query.group_by(FILES.c.uri)).all()
        return {uri: datetime.fromisoformat(moment) for uri, moment in rows}

    def give_files(self, hook: str, keys: Sequence[str], job: JobRecord) -> bool:
        """Write a job and give it these files, in one transaction; False if another gateway has given some away."""
        new = sa.insert(JOBS).values(**job_row(job), digest=request_digest(job.request))
        return self._give(hook, keys, job.id, new)

    def give_files_to_event(self, hook: str, keys: Sequence[str], identity: str, body: Mapping[str, Any]) -> bool:
        """The same with an event, which is sent after that. identity : of the event."""
        values = {"id": identity, "body": json.dumps(body), "created_at": text_of(now())}
        return self._give(hook, keys, identity, sa.insert(EVENTS).values(**values))

    def _give(self, hook: str, keys: Sequence[str], taker: str, new: sa.Insert) -> bool:
        with self._told(), self._engine.connect() as connection, connection.begin() as transaction:
            given = 0
            for first in range(0, len(keys), 500):
                mine = FILES.c.key.in_(keys[first : first + 500])
                change = sa.update(FILES).where(FILES.c.hook == hook, FILES.c.job.is_(None), mine)
                given += connection.execute(change.values(job=taker)).rowcount
            if given != len(keys):
                transaction.rollback()
                return False
            connection.execute(new)
        return True

    def unsent_events(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Id and content of events that Prefect may not have, the oldest first."""
        query = sa.select(EVENTS).where(EVENTS.c.sent_at.is_(None)).order_by(EVENTS.c.number).limit(100)
        with self._begin() as connection:
            return [(row["id"], json.loads(row["body"])) for row in connection.execute(query).mappings()]

    def event_sent(self, identity: str) -> None:
        with self._begin() as connection:
            connection.execute(sa.update(EVENTS).where(EVENTS.c.id == identity).values(sent_at=text_of(now())))

    def forget_messages(self, before: datetime) -> int:
        """Forget which messages were taken, and which events were sent, before this moment; how many messages.

        None of them will come again.
        """
        with self._begin() as connection:
            connection.execute(sa.delete(EVENTS).where(EVENTS.c.sent_at < text_of(before)))
            return connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.received_at < text_of(before))).rowcount

    # -- subscriptions ------------------------------------------------------------------------------------------

    def subscriptions(self) -> dict[str, Subscription]:
        """All of them by name."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTIONS).order_by(SUBSCRIPTIONS.c.name)).mappings().all()
        return {row["name"]: Subscription.model_validate_json(row["definition"]) for row in rows}

    def subscribed_at(self) -> dict[str, datetime]:
        """When each of them was made or changed last."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTIONS.c.name, SUBSCRIPTIONS.c.updated_at)).all()
        return {name: datetime.fromisoformat(moment) for name, moment in rows}

    def put_subscription(self, name: str, subscription: Subscription) -> None:
        values = {"definition": subscription.model_dump_json(), "updated_at": text_of(now())}
        with self._begin() as connection:
            new = self._insert(SUBSCRIPTIONS).values(name=name, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))

    def delete_subscription(self, name: str) -> bool:
        """Whether it was there. What is on its way to it is dropped."""
        with self._begin() as connection:
            connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.subscription == name))
            return bool(connection.execute(sa.delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.name == name)).rowcount)

    def claim_deliveries(self, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Messages that are due, the oldest first; no other gateway gets them before `until`."""
        columns = DELIVERIES.c
        due = (columns.state == "waiting", columns.due_at <= text_of(now))
        claimed = []
        with self._begin() as connection:
            rows = connection.execute(sa.select(DELIVERIES).where(*due).order_by(columns.due_at).limit(limit))
            for row in rows.mappings().all():
                mine = sa.update(DELIVERIES).where(columns.number == row["number"], columns.due_at == row["due_at"])
                if connection.execute(mine.values(due_at=text_of(until))).rowcount:
                    claimed.append(delivery_of(row))
        return claimed

    def settle_delivery(self, delivery: Delivery, state: DeliveryState, due_at: datetime, reason: str) -> None:
        """What came of an attempt."""
        values = {"state": state, "attempts": delivery.attempts + 1, "due_at": text_of(due_at), "reason": reason[:500]}
        with self._begin() as connection:
            connection.execute(sa.update(DELIVERIES).where(DELIVERIES.c.number == delivery.number).values(**values))

    def deliveries(self, subscription: str | None, state: str | None, limit: int) -> list[Delivery]:
        """Messages, the newest first."""
        wanted = {"subscription": subscription, "state": state}
        query = sa.select(DELIVERIES).order_by(DELIVERIES.c.number.desc()).limit(limit)
        query = query.where(*(DELIVERIES.c[name] == value for name, value in wanted.items() if value is not None))
        with self._begin() as connection:
            return [delivery_of(row) for row in connection.execute(query).mappings()]

    def replay(self, subscription: str, message: str | None) -> int:
        """Send messages again that were given up, or one whatever became of it; how many."""
        columns = DELIVERIES.c
        which = columns.state == "dead" if message is None else columns.message == message
        change = sa.update(DELIVERIES).where(columns.subscription == subscription, which)
        with self._begin() as connection:
            return connection.execute(change.values(state="waiting", attempts=0, due_at=text_of(now()))).rowcount

    # -- keys and audit -----------------------------------------------------------------------------------------

    def key(self, prefix: str) -> Key | None:
        with self._begin() as connection:
            row = connection.execute(sa.select(KEYS).where(KEYS.c.prefix == prefix)).mappings().first()
        return key_of(row) if row else None

    def all_keys(self) -> list[Key]:
        with self._begin() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.client, KEYS.c.created_at)).mappings().all()
        return [key_of(row) for row in rows]

    def add_key(self, key: Key) -> None:
        values = {
            "client": key.client,
            "slot": key.slot,
            "prefix": key.prefix,
            "digest": key.digest,
            "scopes": json.dumps(key.scopes),
            "endpoints": json.dumps(key.endpoints),
            "created_at": text_of(key.created_at),
            "expires_at": text_of(key.expires_at),
            "revoked_at": text_of(key.revoked_at),
        }
        with self._begin() as connection:
            connection.execute(sa.insert(KEYS).values(**values))

    def revoke_key(self, prefix: str) -> bool:
        """Whether it was there, and held until now."""
        query = sa.update(KEYS).where(KEYS.c.prefix == prefix, KEYS.c.revoked_at.is_(None))
        with self._begin() as connection:
            return bool(connection.execute(query.values(revoked_at=text_of(now()))).rowcount)

    def record(self, client: str, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Write down who did what; details must hold no secret."""
        values = {"at": text_of(now()), "client": client, "action": action, "target": target[:255]}
        with self._begin() as connection:
            connection.execute(sa.insert(AUDIT).values(**values, detail=json.dumps(detail or {})))

    def audit(self, limit: int) -> list[Mapping[str, Any]]:
        """The newest entries, the last one first: at, client, action, target, detail."""
        with self._begin() as connection:
            rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)).mappings().all()
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
        return job_of(row) if row else None

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


def _file_key(file: FileEvent) -> str:
    return hashlib.blake2b(f"{file.uri}\0{file.version}".encode(), digest_size=16).hexdigest()


def _arguments(url: str) -> dict[str, Any]:
    return {"timeout": _BUSY_S} if url.startswith("sqlite") else {}


def _careful(connection: Any, _: Any) -> None:
    """Readers and a writer at the same time, and nothing lost when the machine goes down."""
    for line in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_S * 1000}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}")
