"""Repository of events for Prefect."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of
from adapters.gateway.tables import EVENTS

__all__ = ["EventRepository"]

_AT_ONCE = 100


class EventRepository:
    """Events, recorded before they are sent: `waiting`, `sent` or `dead`."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def unsent(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return id and content of events that Prefect may not have, oldest first; odd records are given up."""
        query = sa.select(EVENTS).where(EVENTS.c.state == "waiting").order_by(EVENTS.c.number).limit(_AT_ONCE)
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        events = [(row["id"], self._database.readable(f"event {row['id']}", _parse, row)) for row in rows]
        for identity, body in events:
            if body is None:
                self.give_up(identity, "its record cannot be read")
        return [(identity, body) for identity, body in events if body is not None]

    def mark_sent(self, event_id: str) -> None:
        """Record that Prefect has taken an event."""
        self._settle(event_id, state="sent", sent_at=text_of(now()))

    def give_up(self, event_id: str, reason: str) -> None:
        """Record that an event cannot be sent; it is pruned with the others."""
        self._settle(event_id, state="dead", sent_at=text_of(now()), reason=reason[:500])

    def _settle(self, event_id: str, **values: Any) -> None:
        attempts = EVENTS.c.attempts + 1
        with self._database.begin() as connection:
            connection.execute(sa.update(EVENTS).where(EVENTS.c.id == event_id).values(attempts=attempts, **values))


def _parse(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    body = json.loads(row["body"])
    if not isinstance(body, dict):
        raise TypeError("its body is no event")
    return body
