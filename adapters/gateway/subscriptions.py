"""Repository of subscriptions: receivers of events, and their addresses."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.definitions import DefinitionTable
from adapters.gateway.tables import DELIVERIES, SUBSCRIPTIONS
from domain.gateway.subscriptions import Subscription

__all__ = ["SubscriptionRepository"]


class SubscriptionRepository(DefinitionTable[Subscription]):
    """Subscriptions by name."""

    def __init__(self, database: GatewayDatabase) -> None:
        super().__init__(database, SUBSCRIPTIONS, Subscription, "subscription")

    def _on_replaced(self, connection: sa.Connection, row: Mapping[Any, Any], definition: Subscription) -> None:
        """Drop the messages of a subscription that passes to another endpoint, whose clients may not read them."""
        former = self._database.readable(self._label(row), self._parse, row)
        if definition.endpoint is not None and (former is None or former.endpoint != definition.endpoint):
            connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.subscription == row["name"]))

    def delete(self, name: str) -> bool:
        """Delete a subscription with its deliveries; return True if it existed."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.subscription == name))
            return bool(connection.execute(sa.delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.name == name)).rowcount)
