"""Repository of subscriptions: who is told of what, and where."""

from datetime import datetime

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of
from adapters.gateway.tables import DELIVERIES, SUBSCRIPTIONS
from domain.gateway.subscriptions import Subscription

__all__ = ["SubscriptionRepository"]


class SubscriptionRepository:
    """Subscriptions by name."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def all(self) -> dict[str, Subscription]:
        """Return every subscription by name."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTIONS).order_by(SUBSCRIPTIONS.c.name)).mappings().all()
        return {row["name"]: Subscription.model_validate_json(row["definition"]) for row in rows}

    def changed_at(self) -> dict[str, datetime]:
        """Return the time of each subscription's last change, by name."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(SUBSCRIPTIONS.c.name, SUBSCRIPTIONS.c.updated_at)).all()
        return {name: datetime.fromisoformat(changed_at) for name, changed_at in rows}

    def put(self, name: str, subscription: Subscription) -> None:
        """Write a subscription."""
        values = {"definition": subscription.model_dump_json(), "updated_at": text_of(now())}
        with self._database.begin() as connection:
            new = self._database.insert(SUBSCRIPTIONS).values(name=name, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["name"], set_=values))

    def delete(self, name: str) -> bool:
        """Delete a subscription with its deliveries; whether it existed."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(DELIVERIES).where(DELIVERIES.c.subscription == name))
            return bool(connection.execute(sa.delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.name == name)).rowcount)
