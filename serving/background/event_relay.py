"""Relay fleet events from the lake to subscribers, by queuing a delivery for each."""

from datetime import datetime, timedelta

from adapters.gateway.store import GatewayStore
from adapters.lake.fleet_events import events_since
from adapters.lake.table import Lake
from domain.gateway.fleet_events import NEWS, FleetEvent
from domain.gateway.subscriptions import Subscription

__all__ = ["EventRelay"]

_EVERY = timedelta(seconds=5)
_PER_FLEET = timedelta(milliseconds=50)
"""Polls are further apart where there are many fleets: each costs a request to the store."""
_BEFORE = timedelta(minutes=10)
"""Clocks of stores differ; events from so shortly before a subscription are relayed as well."""


class EventRelay:
    """Relays each event once to each subscriber, even after a crash: the database knows the queued messages."""

    def __init__(self, store: GatewayStore, lake: Lake) -> None:
        self._store, self._lake = store, lake
        self._relayed_since: dict[str, datetime] = {}
        self._seen = set[str]()
        self._next: datetime | None = None

    def step(self, now: datetime) -> int:
        """Look for events, every few seconds; return the number of new messages. Raises LakeError and GatewayError."""
        if self._next is not None and now < self._next:
            return 0
        self._next = now + _EVERY
        every = self._store.subscriptions.all()
        subscriptions = {name: item for name, item in every.items() if set(item.events) & set(NEWS)}
        if not subscriptions:
            return 0
        changed_at = self._store.subscriptions.changed_at()
        since = {name: changed_at[name] - _BEFORE for name in subscriptions}
        if since != self._relayed_since:  # A new subscription lacks what the others have had.
            self._relayed_since, self._seen = since, set()
        known = self._lake.fleets()
        fleets_of = {name: self._fleets(subscription, known) for name, subscription in subscriptions.items()}
        fleets = sorted(set().union(*fleets_of.values()))
        self._next += len(fleets) * _PER_FLEET
        messages = 0
        for fleet in fleets:
            listeners = {name: item for name, item in subscriptions.items() if fleet in fleets_of[name]}
            for uri, event in events_since(self._lake, fleet, min(since.values()), self._seen):
                messages += sum(self._announce(name, event, since[name], item) for name, item in listeners.items())
                self._seen.add(uri)
        return messages

    def _announce(self, name: str, event: FleetEvent, since: datetime, subscription: Subscription) -> bool:
        """Queue an event for a subscriber to its type; return whether it is new."""
        if event.event not in subscription.events or event.at < since:
            return False
        return self._store.deliveries.announce_event(name, event)

    def _fleets(self, subscription: Subscription, known: list[str]) -> set[str]:
        if subscription.endpoint is None:
            return set(known)
        endpoint = self._store.endpoints.get(subscription.endpoint)
        served = {deployment.fleet for deployment in endpoint[0].deployments.values()} if endpoint else set[str]()
        return served.intersection(known)
