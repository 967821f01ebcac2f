"""Repository of deliveries: messages on their way to subscribers."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import Delivery, JobRecord, delivery_of, job_facts, now, text_of
from adapters.gateway.tables import DELIVERIES, SUBSCRIPTIONS
from domain.gateway.fleet_events import FleetEvent
from domain.gateway.subscriptions import DeliveryState, Subscription

__all__ = ["DeliveryRepository"]

_CANDIDATES = 8
"""Messages looked at for one claim: other gateways may be quicker with some."""


class DeliveryRepository:
    """Messages to subscribers, each on record once per subscription."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def announce_job(self, connection: sa.Connection, job: JobRecord) -> None:
        """Queue the end of a job for its subscribers, in the transaction that ends it."""
        end, event = job.finished_at or now(), f"job.{job.state}"
        body = json.dumps({"type": event, "timestamp": text_of(end), "data": job_facts(job)})
        for row in connection.execute(sa.select(SUBSCRIPTIONS)).mappings():
            subscription = self._database.readable(f"subscription {row['name']}", _subscription, row)
            if subscription is None:
                continue
            if event in subscription.events and subscription.endpoint in (None, job.endpoint):
                self._add(connection, row["name"], f"{job.id}.{job.state}", body, end)

    def announce_event(self, subscription: str, event: FleetEvent) -> bool:
        """Queue an event of a fleet for a subscriber, once; return True if it is new."""
        data = {"fleet": event.fleet, "run_id": event.run_id, **event.data}
        body = json.dumps({"type": event.event, "timestamp": text_of(event.at), "data": data})
        with self._database.begin() as connection:
            return self._add(connection, subscription, event.id, body, now())

    def due_subscriptions(self, now: datetime) -> dict[str, str]:
        """Return the subscriptions with due messages, and the time at which the oldest of each was due."""
        columns = DELIVERIES.c
        due = (columns.state == "waiting", columns.due_at <= text_of(now))
        oldest = sa.select(columns.subscription, sa.func.min(columns.due_at)).where(*due)
        with self._database.begin() as connection:
            rows = connection.execute(oldest.group_by(columns.subscription)).all()
        return {row[0]: row[1] for row in rows}

    def claim(self, subscription: str, now: datetime, until: datetime) -> Delivery | None:
        """Return the oldest due message to a subscriber; no other gateway gets it before `until`."""
        columns = DELIVERIES.c
        due = (columns.subscription == subscription, columns.state == "waiting", columns.due_at <= text_of(now))
        oldest = sa.select(DELIVERIES).where(*due).order_by(columns.due_at, columns.number).limit(_CANDIDATES)
        with self._database.begin() as connection:
            for row in connection.execute(oldest).mappings().all():
                mine = sa.update(DELIVERIES).where(columns.number == row["number"], columns.due_at == row["due_at"])
                if not connection.execute(mine.values(due_at=text_of(until))).rowcount:
                    continue
                delivery = self._database.readable(f"message {row['message']}", delivery_of, row)
                if delivery is not None:
                    return delivery
                odd = sa.update(DELIVERIES).where(columns.number == row["number"])
                connection.execute(odd.values(state="dead", reason="its record cannot be read"))
        return None

    def settle(self, delivery: Delivery, state: DeliveryState, due_at: datetime, reason: str) -> None:
        """Record the result of an attempt."""
        values = {"state": state, "attempts": delivery.attempts + 1, "due_at": text_of(due_at), "reason": reason[:500]}
        with self._database.begin() as connection:
            connection.execute(sa.update(DELIVERIES).where(DELIVERIES.c.number == delivery.number).values(**values))

    def newest(self, subscription: str | None, state: str | None, limit: int) -> list[Delivery]:
        """Return messages, newest first."""
        filters = {"subscription": subscription, "state": state}
        query = sa.select(DELIVERIES).order_by(DELIVERIES.c.number.desc()).limit(limit)
        query = query.where(*(DELIVERIES.c[name] == value for name, value in filters.items() if value is not None))
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        deliveries = (self._database.readable(f"message {row['message']}", delivery_of, row) for row in rows)
        return [delivery for delivery in deliveries if delivery is not None]

    def replay(self, subscription: str, message: str | None) -> int:
        """Queue the dead messages again, or a single one whatever its state; return their number."""
        columns = DELIVERIES.c
        which = columns.state == "dead" if message is None else columns.message == message
        change = sa.update(DELIVERIES).where(columns.subscription == subscription, which)
        with self._database.begin() as connection:
            return connection.execute(change.values(state="waiting", attempts=0, due_at=text_of(now()))).rowcount

    def _add(self, connection: sa.Connection, subscription: str, message: str, body: str, due: datetime) -> bool:
        values: dict[str, Any] = {"subscription": subscription, "message": message, "body": body}
        values |= {"state": "waiting", "attempts": 0, "due_at": text_of(due), "reason": ""}
        new = self._database.insert(DELIVERIES).values(**values).on_conflict_do_nothing()
        return bool(connection.execute(new).rowcount)


def _subscription(row: Mapping[Any, Any]) -> Subscription:
    return Subscription.model_validate_json(row["definition"])
