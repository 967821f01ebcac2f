"""Takes news of fleets to subscribers: looks in the lake for what runs have told, and puts messages on record."""

from datetime import datetime, timedelta

from adapters.gateway.store import GatewayStore
from adapters.lake.fleet_events import events_since
from adapters.lake.table import Lake
from domain.gateway.fleet_events import NEWS
from domain.gateway.subscriptions import Subscription

__all__ = ["EventRelay"]

_EVERY = timedelta(seconds=5)
_PER_FLEET = timedelta(milliseconds=50)
"""Longer between two looks where there are many fleets: each is a request to the store."""
_BEFORE = timedelta(minutes=10)
"""Clocks of stores differ; news from so shortly before a subscription are told as well."""


class EventRelay:
    """News are told once to each subscriber, whatever dies: the database knows which messages there are."""

    def __init__(self, store: GatewayStore, lake: Lake) -> None:
        self._store, self._lake = store, lake
        self._wishes: dict[str, datetime] = {}
        self._seen = set[str]()
        self._next: datetime | None = None

    def step(self, now: datetime) -> int:
        """Look for news, every few seconds; how many messages came of it. Raises LakeError and GatewayError."""
        if self._next is not None and now < self._next:
            return 0
        self._next = now + _EVERY
        wishes = {name: one for name, one in self._store.subscriptions.all().items() if set(one.events) & set(NEWS)}
        if not wishes:
            return 0
        subscribed = self._store.subscriptions.changed_at()
        since = {name: subscribed[name] - _BEFORE for name in wishes}
        if since != self._wishes:  # A new one has not been told of what the others know.
            self._wishes, self._seen = since, set()
        known = self._lake.fleets()
        heard = {name: self._fleets(wish, known) for name, wish in wishes.items()}
        fleets = sorted(set().union(*heard.values()))
        self._next += len(fleets) * _PER_FLEET
        told = 0
        for fleet in fleets:
            for uri, news in events_since(self._lake, fleet, min(since.values()), self._seen):
                asked = [name for name, wish in wishes.items() if fleet in heard[name] and news.event in wish.events]
                announce = self._store.deliveries.announce_event
                told += sum(announce(name, news) for name in asked if news.at >= since[name])
                self._seen.add(uri)
        return told

    def _fleets(self, wish: Subscription, known: list[str]) -> set[str]:
        if wish.endpoint is None:
            return set(known)
        found = self._store.endpoints.get(wish.endpoint)
        behind = {one.fleet for one in found[0].deployments.values()} if found else set[str]()
        return behind.intersection(known)
