"""Takes news of fleets to subscribers: looks in the lake for what runs have told, and puts messages on record."""

from datetime import datetime, timedelta

from adapters.gateway_store import GatewayStore
from adapters.lake import Lake
from adapters.news import news_since
from models.news import NEWS, News
from models.subscriptions import Subscription

__all__ = ["Herald"]

_EVERY = timedelta(seconds=5)
_BEFORE = timedelta(minutes=10)
"""Clocks of stores differ; news from so shortly before a subscription are told as well."""


class Herald:
    """News are told once to each subscriber, whatever dies: the database knows which messages there are."""

    def __init__(self, store: GatewayStore, lake: Lake) -> None:
        self._store, self._lake = store, lake
        self._seen: dict[tuple[str, datetime], set[str]] = {}
        self._next: datetime | None = None

    def step(self, now: datetime) -> int:
        """Look for news, every few seconds; how many messages came of it. Raises LakeError and GatewayError."""
        if self._next is not None and now < self._next:
            return 0
        self._next = now + _EVERY
        wishes = {name: one for name, one in self._store.subscriptions().items() if set(one.events) & set(NEWS)}
        if not wishes:
            return 0
        since, told = self._store.subscribed_at(), 0
        fleets = self._lake.fleets()
        for name, wish in wishes.items():
            seen = self._seen.setdefault((name, since[name]), set())
            for fleet in self._fleets(wish, fleets):
                for uri, news in news_since(self._lake, fleet, since[name] - _BEFORE, seen):
                    told += self._tell(name, wish, news)
                    seen.add(uri)
        return told

    def _tell(self, name: str, wish: Subscription, news: News) -> bool:
        return news.event in wish.events and self._store.tell_news(name, news)

    def _fleets(self, wish: Subscription, known: list[str]) -> list[str]:
        if wish.endpoint is None:
            return known
        found = self._store.endpoint(wish.endpoint)
        behind = {one.fleet for one in found[0].deployments.values()} if found else set()
        return sorted(behind.intersection(known))
