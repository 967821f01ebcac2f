"""Deliveries under attack: subscribers that answer slowly, without end, or not at all delay nobody else."""

import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from gateway import HOSTS, SECRET, now
from standardwebhooks import Webhook

from adapters.gateway import webhook_client
from adapters.gateway.store import GatewayStore
from adapters.gateway.tables import DELIVERIES
from adapters.gateway.webhook_client import send
from domain.gateway.subscriptions import Subscription
from serving.background.webhook_dispatcher import WebhookDispatcher

OTHER = "whsec_Tm9uZSBvZiB0aGlzIGlzIGd1ZXNzZWQgZWFzaWx5IQ=="


@pytest.fixture
def store(tmp_path):
    store = GatewayStore(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    store.close()


def subscribe(store, name, messages):
    store.subscriptions.put(name, Subscription(url=f"https://{HOSTS[0]}/{name}"))
    row = {"subscription": name, "state": "waiting", "attempts": 0, "body": "{}", "reason": ""}
    rows = [row | {"message": f"{name}-{n:03}", "due_at": now(-60).isoformat()} for n in range(messages)]
    with store.database.begin() as connection:
        connection.execute(sa.insert(DELIVERIES), rows)


@contextmanager
def receiver(answer):
    """A server on this machine that answers each connection by a function of its socket."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answered, args=(connection,), daemon=True).start()

    def answered(connection):
        with connection:
            connection.recv(65536)
            with suppress(OSError):
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def test_a_byte_now_and_then_ends_at_the_deadline(monkeypatch):
    monkeypatch.setattr(webhook_client, "DEADLINE_S", 1.0)

    def drip(connection):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.3)

    with receiver(drip) as url:
        begun = time.monotonic()
        assert send(url, [SECRET], "id", "{}") == "no answer within 1 s"
        assert time.monotonic() - begun < 3


def test_the_body_of_an_answer_is_not_read(monkeypatch):
    sent = []

    def flood(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 600000000\r\n\r\n")
        for _ in range(600):
            sent.append(connection.send(b"x" * 1_000_000))

    with receiver(flood) as url:
        send(url, [SECRET], "warm", "{}")
        sent.clear()
        tracemalloc.start()
        begun = time.monotonic()
        assert send(url, [SECRET], "id", "{}") == ""
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.monotonic() - begun < 5
    assert peak < 20_000_000
    assert sum(sent) < 50_000_000


def test_a_slow_subscriber_delays_nobody_else(store):
    release = threading.Event()

    def slow_or_not(url, *_):
        if "slow" in url:
            release.wait(30)
        return ""

    for name in ("a-slow", "b", "c"):
        subscribe(store, name, 20)
    dispatcher = WebhookDispatcher(store, slow_or_not, (SECRET,), HOSTS, poll_s=0.05)
    dispatcher.start()
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            states = [delivery.state for name in ("b", "c") for delivery in store.deliveries.newest(name, None, 100)]
            if set(states) == {"delivered"}:
                break
            time.sleep(0.05)
        assert set(states) == {"delivered"}
        assert {delivery.state for delivery in store.deliveries.newest("a-slow", None, 100)} == {"waiting"}
    finally:
        release.set()
        dispatcher.stop()


def test_turns_are_fair_if_there_are_more_subscribers_than_senders(store):
    order = []

    def record(url, *_):
        order.append(url.rpartition("/")[2])
        return ""

    for number in range(20):
        subscribe(store, f"s{number:02}", 3)
    dispatcher = WebhookDispatcher(store, record, (SECRET,), HOSTS)
    while dispatcher.step(now(len(order))):
        continue
    dispatcher.stop()
    assert len(order) == 60
    for turn in range(3):
        assert len(set(order[turn * 20 : turn * 20 + 20])) == 20, "each has its turn before anybody has another one"


def test_messages_to_a_subscriber_keep_their_order(store):
    order = []
    subscribe(store, "app", 10)
    dispatcher = WebhookDispatcher(store, lambda *message: order.append(message[2]) or "", (SECRET,), HOSTS)
    while dispatcher.step(now()):
        continue
    dispatcher.stop()
    assert order == sorted(order)
    assert len(order) == 10


def test_during_a_rotation_either_secret_verifies():
    received = []

    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listening.accept()
        with connection:
            text = ""
            while not text.endswith("}"):
                text += connection.recv(65536).decode()
            received.append(text)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    assert send(f"http://127.0.0.1:{listening.getsockname()[1]}/", [SECRET, OTHER], "id", '{"a": 1}') == ""
    thread.join()
    listening.close()
    head, _, body = received[0].partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    for secret in (SECRET, OTHER):
        assert Webhook(secret).verify(body, headers) == {"a": 1}
    assert timedelta(seconds=webhook_client.DEADLINE_S) < timedelta(seconds=30), "well below the lease"
