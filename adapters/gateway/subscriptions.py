"""Repository of subscriptions: receivers of events, and their addresses."""

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

    def delete(self, name: str) -> bool:
        """Delete a subscription with its deliveries; return True if it existed."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.subscription == name))
            return bool(connection.execute(sa.delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.name == name)).rowcount)
