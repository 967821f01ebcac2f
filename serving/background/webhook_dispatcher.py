"""Deliver webhooks with retries for up to two days."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from adapters.gateway.records import Delivery
from adapters.gateway.store import GatewayStore
from domain.errors import GatewayError, RequestError
from domain.gateway.subscriptions import Subscription, check_target, pause

__all__ = ["Send", "WebhookDispatcher"]

Send = Callable[[str, str, str, str], str]
"""Sends a message: url, secret, id, body -> empty, or the reason of its failure."""
_LOG = logging.getLogger("myriad.gateway")
_AT_ONCE = 16
_LEASE = timedelta(seconds=60)
"""After this, a message that a dead gateway had claimed is sent by another one, or by itself once restarted."""


class WebhookDispatcher:
    """Delivers messages that are due. One may arrive twice, with the same id; none is lost."""

    def __init__(
        self, store: GatewayStore, send: Send, secret: str | None, hosts: tuple[str, ...], poll_s: float = 1.0
    ) -> None:
        self._store, self._send, self._secret, self._hosts, self._poll_s = store, send, secret, hosts, poll_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhook-dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._over.wait(self._poll_s):
            try:
                while self.step(datetime.now(UTC)) and not self._over.is_set():
                    continue
            except GatewayError as exc:
                _LOG.warning("%s", exc)
                self._over.wait(10)
            except Exception:  # noqa: BLE001 - a thread that ends would stop all deliveries
                _LOG.exception("messages cannot be sent; trying again soon")
                self._over.wait(10)

    def step(self, now: datetime) -> int:
        """Send due messages concurrently, and return their number."""
        due = self._store.deliveries.claim(now, now + _LEASE, _AT_ONCE)
        if not due:
            return 0
        subscriptions = self._store.subscriptions.all()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda delivery: self._deliver(delivery, subscriptions.get(delivery.subscription), now), due))
        return len(due)

    def _deliver(self, delivery: Delivery, subscription: Subscription | None, now: datetime) -> None:
        wrong = self._attempt(delivery, subscription)
        if not wrong:
            self._store.deliveries.settle(delivery, "delivered", now, "")
            return
        wait = pause(delivery.attempts + 1)
        if wait is None:
            self._store.deliveries.settle(delivery, "dead", now, wrong)
            _LOG.warning("message %s to %s is given up: %s", delivery.message, delivery.subscription, wrong)
        else:
            self._store.deliveries.settle(delivery, "waiting", now + wait, wrong)

    def _attempt(self, delivery: Delivery, subscription: Subscription | None) -> str:
        if subscription is None:
            return "the subscription is gone"
        if self._secret is None:
            return "MYRIAD_WEBHOOK_SECRET is not set for this gateway"
        try:
            check_target(subscription.url, self._hosts)
        except RequestError as exc:
            return str(exc)
        return self._send(subscription.url, self._secret, delivery.message, delivery.body)
