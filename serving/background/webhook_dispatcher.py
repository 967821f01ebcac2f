"""Deliver webhooks with retries for up to two days.

Each subscriber has one message on its way at most, so that one that answers slowly delays nobody else; free senders go
to the subscriber whose last turn was longest ago.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta

from adapters.gateway.records import Delivery
from adapters.gateway.store import GatewayStore
from domain.errors import GatewayError, RecordError, RequestError
from domain.gateway.subscriptions import Subscription, check_target, pause

__all__ = ["Send", "WebhookDispatcher"]

Send = Callable[[str, Sequence[str], str, str], str]
"""Sends a message: url, secrets, id, body -> empty, or the reason of its failure."""
_LOG = logging.getLogger("myriad.gateway")
_SENDERS = 16
_LEASE = timedelta(seconds=60)
"""After this, a message that a dead gateway had claimed is sent by another one, or by itself once restarted."""


class WebhookDispatcher:
    """Delivers messages that are due. One may arrive twice, with the same id; none is lost.

    Parameters
    ----------
    secrets : all of them sign each message, so that a receiver may have either during a rotation.
    """

    def __init__(
        self, store: GatewayStore, send: Send, secrets: Sequence[str], hosts: tuple[str, ...], poll_s: float = 1.0
    ) -> None:
        self._store, self._send, self._secrets, self._hosts, self._poll_s = store, send, tuple(secrets), hosts, poll_s
        self._over, self._work = threading.Event(), threading.Event()
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="webhook-sender")
        self._lock = threading.Lock()
        self._busy = set[str]()
        self._turns: dict[str, datetime] = {}
        self._thread = threading.Thread(target=self._run, name="webhook-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the messages that are on their way, which have a deadline."""
        self._over.set()
        self._work.set()
        if self._thread.is_alive():
            self._thread.join(20)
        self._senders.shutdown(cancel_futures=True)

    def _run(self) -> None:
        while not self._over.is_set():
            self._work.clear()
            wait_s = self._poll_s
            try:
                self.start_due(datetime.now(UTC))
            except GatewayError as exc:
                _LOG.warning("%s", exc)
                wait_s = 10.0
            except Exception:  # noqa: BLE001 - a thread that ends would stop all deliveries
                _LOG.exception("messages cannot be sent; trying again soon")
                wait_s = 10.0
            self._work.wait(wait_s)

    def step(self, now: datetime) -> int:
        """Send the next due message of each subscriber, wait for the answers, and return the number of messages."""
        futures = self.start_due(now)
        wait(futures)
        for future in futures:
            future.result()
        return len(futures)

    def start_due(self, now: datetime) -> list["Future[None]"]:
        """Start to send the next due message of each subscriber that has none on its way, while senders are free."""
        due = self._store.deliveries.due_subscriptions(now)
        self._turns = {name: turn for name, turn in self._turns.items() if name in due}
        never = datetime.min.replace(tzinfo=UTC)
        futures = []
        for name in sorted(due, key=lambda name: (self._turns.get(name, never), due[name])):
            if not self._take_turn(name, now):
                continue
            try:
                delivery = self._store.deliveries.claim(name, now, now + _LEASE)
            except BaseException:
                self._end_turn(name)
                raise
            if delivery is None:
                self._end_turn(name)
                continue
            futures.append(self._senders.submit(self._deliver, delivery, now))
        return futures

    def _take_turn(self, name: str, now: datetime) -> bool:
        with self._lock:
            if name in self._busy or len(self._busy) >= _SENDERS:
                return False
            self._busy.add(name)
            self._turns[name] = now
            return True

    def _end_turn(self, name: str) -> None:
        with self._lock:
            self._busy.discard(name)

    def _deliver(self, delivery: Delivery, now: datetime) -> None:
        try:
            self._settle(delivery, now, self._attempt(delivery))
        except GatewayError as exc:  # The message is sent again once its lease ends.
            _LOG.warning("message %s to %s: %s", delivery.message, delivery.subscription, exc)
        finally:
            self._end_turn(delivery.subscription)
            self._work.set()  # The subscriber may have more.

    def _settle(self, delivery: Delivery, now: datetime, failure: str) -> None:
        if not failure:
            self._store.deliveries.settle(delivery, "delivered", now, "")
            return
        retry_after = pause(delivery.attempts + 1)
        if retry_after is None:
            self._store.deliveries.settle(delivery, "dead", now, failure)
            _LOG.warning("message %s to %s is given up: %s", delivery.message, delivery.subscription, failure)
        else:
            self._store.deliveries.settle(delivery, "waiting", now + retry_after, failure)

    def _attempt(self, delivery: Delivery) -> str:
        """Send a message; return empty, or the reason of its failure."""
        if not self._secrets:
            return "MYRIAD_WEBHOOK_SECRET is not set for this gateway"
        try:
            subscription = self._store.subscriptions.get(delivery.subscription)
            if subscription is None:
                return "the subscription is gone"
            return self._post(delivery, subscription)
        except (RequestError, RecordError) as exc:
            return str(exc)
        except GatewayError:
            raise
        except Exception as exc:  # noqa: BLE001 - an odd message uses up its attempts, and stops no other
            _LOG.exception("message %s to %s", delivery.message, delivery.subscription)
            return f"{type(exc).__name__}: {exc}"

    def _post(self, delivery: Delivery, subscription: Subscription) -> str:
        check_target(subscription.url, self._hosts)
        return self._send(subscription.url, self._secrets, delivery.message, delivery.body)
