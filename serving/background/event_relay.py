"""Relay fleet events from the lake to subscribers, by queuing a delivery for each."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from adapters.gateway.store import GatewayStore
from adapters.lake.fleet_events import events_since
from adapters.lake.table import Lake
from domain.errors import RecordError
from domain.gateway.fleet_events import NEWS, FleetEvent
from domain.gateway.kept_text import text_problem
from domain.gateway.subscriptions import Subscription
from serving.background.failures import Failures

__all__ = ["EventRelay"]

_EVERY = timedelta(seconds=5)
_PER_FLEET = timedelta(milliseconds=50)
"""Polls are further apart where there are many fleets: each costs a request to the store."""
_LONGEST_ID = 128
_BEFORE = timedelta(minutes=10)
"""Clocks of stores differ; events from so shortly before a subscription are relayed as well."""


class EventRelay:
    """Relays each event once to each subscriber, even after a crash: the database knows the queued messages."""

    def __init__(self, store: GatewayStore, lake: Lake) -> None:
        self._store, self._lake = store, lake
        self._relayed_since: dict[str, datetime] = {}
        self._seen = set[str]()
        self._next: datetime | None = None
        self._messages = 0
        self._failures, self._event_failures = Failures(), Failures()

    def step(self, now: datetime) -> int:
        """Look for events, every few seconds; return the number of new messages.

        A fleet whose events cannot be read leaves the others alone. Raises LakeError if there is no list of fleets, and
        GatewayError.
        """
        if self._next is not None and now < self._next:
            return 0
        self._next = now + _EVERY
        every = self._store.subscriptions.all()
        subscriptions = {name: item for name, item in every.items() if set(item.events) & set(NEWS)}
        if not subscriptions:
            return 0
        changed_at = self._store.subscriptions.changed_at()
        since = {name: changed_at[name] - _BEFORE for name in subscriptions if name in changed_at}
        subscriptions = {name: item for name, item in subscriptions.items() if name in since}
        if not subscriptions:
            return 0
        if since != self._relayed_since:  # A new subscription lacks what the others have had.
            self._relayed_since, self._seen = since, set()
        known = self._lake.fleets()
        fleets_of = {name: self._fleets(subscription, known) for name, subscription in subscriptions.items()}
        fleets = sorted(set().union(*fleets_of.values()))
        self._next += len(fleets) * _PER_FLEET
        self._messages = 0
        for fleet in fleets:
            listeners = {name: item for name, item in subscriptions.items() if fleet in fleets_of[name]}
            self._failures.attempt(f"events of fleet {fleet}", now, partial(self._relay, fleet, listeners, since, now))
        return self._messages

    def _relay(
        self, fleet: str, listeners: Mapping[str, Subscription], since: Mapping[str, datetime], now: datetime
    ) -> None:
        """Relay the events of a fleet. An event that cannot be relayed is given up after some attempts."""
        for uri, event in events_since(self._lake, fleet, min(since.values()), self._seen):
            self._event_failures.attempt(
                f"fleet event {uri}",
                now,
                partial(self._announce_all, uri, event, listeners, since),
                partial(self._give_up, uri),
            )

    def _announce_all(
        self, uri: str, event: FleetEvent, listeners: Mapping[str, Subscription], since: Mapping[str, datetime]
    ) -> None:
        if event.at.tzinfo is None:
            raise ValueError(f"{event.at}: a time without a zone")
        if problem := text_problem(event.id, _LONGEST_ID):
            raise ValueError(f"its id cannot be recorded: {problem}")
        self._messages += sum(self._announce(name, event, since[name], item) for name, item in listeners.items())
        self._seen.add(uri)

    def _give_up(self, uri: str, _: str) -> None:
        self._seen.add(uri)

    def _announce(self, name: str, event: FleetEvent, since: datetime, subscription: Subscription) -> bool:
        """Queue an event for a subscriber to its type; return whether it is new."""
        if event.event not in subscription.events or event.at < since:
            return False
        return self._store.deliveries.announce_event(name, event)

    def _fleets(self, subscription: Subscription, known: list[str]) -> set[str]:
        if subscription.endpoint is None:
            return set(known)
        try:
            endpoint = self._store.endpoints.get(subscription.endpoint)
        except RecordError:
            return set()  # Nobody can tell the fleets of an endpoint whose record cannot be read.
        served = {deployment.fleet for deployment in endpoint[0].deployments.values()} if endpoint else set[str]()
        return served.intersection(known)
