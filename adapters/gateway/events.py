"""Repository of events that Prefect is to be sent."""

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
    """Events on record before they are sent."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def unsent(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return id and content of events that Prefect may not have, oldest first."""
        query = sa.select(EVENTS).where(EVENTS.c.sent_at.is_(None)).order_by(EVENTS.c.number).limit(_AT_ONCE)
        with self._database.begin() as connection:
            return [(row["id"], json.loads(row["body"])) for row in connection.execute(query).mappings()]

    def mark_sent(self, event_id: str) -> None:
        """Record that Prefect has taken an event."""
        with self._database.begin() as connection:
            connection.execute(sa.update(EVENTS).where(EVENTS.c.id == event_id).values(sent_at=text_of(now())))
