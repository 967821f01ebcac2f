"""Requests that may not pass are answered before a byte of their body is read, on every route."""

import json
import socket
import time
from contextlib import contextmanager

import httpx
import pytest
from gateway import gateway, is_problem

from serving.limits import BodyTimes, Limits
from serving.middleware.route_table import RouteTable

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
BODY = b"Content-Length: 1000000\r\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    times = BodyTimes(keyed_s=1.0, signed_s=0.5, pause_s=0.5, per_second=1000)
    limits = Limits(per_second=10_000, at_once=10_000, unauthenticated_at_once=10_000, times=times, client_bodies=2)
    with gateway(tmp_path_factory.mktemp("gateway"), limits) as running:
        running.operator = running.client("operate", "score")
        running.operator.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        running.key = running.operator.headers["Authorization"]
        yield running


@contextmanager
def sent(made, head, body=b""):
    """A request whose body is not sent whole; the connection."""
    with socket.create_connection(("127.0.0.1", httpx.URL(made.url).port), timeout=5) as connection:
        connection.sendall(head + b"Host: localhost\r\n\r\n" + body)
        yield connection


def answer_of(connection):
    """Status, headers and body of the answer; the server closes the connection."""
    content = b""
    while piece := connection.recv(65536):
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.lower(), json.loads(body)


def routes(made):
    for pattern, method, policy in RouteTable(made.app).policies():
        path = pattern.strip("^$")
        for name, value in (("endpoint", "rides"), ("job", "job-20260101T000000-00000000"), ("hook", "landing")):
            path = path.replace(f"(?P<{name}>[^/]+)", value)
        path = path.replace("(?P<fleet>[^/]+)", "rides")
        yield method, path.replace("(?P<subscription>[^/]+)", "app"), policy


def test_every_closed_route_refuses_before_the_body_comes(made):
    closed = [(method, path) for method, path, policy in routes(made) if policy.scope]
    assert len(closed) >= 20
    for method, path in closed:
        with sent(made, f"{method} {path} HTTP/1.1\r\n".encode() + BODY) as connection:
            status, head, body = answer_of(connection)
        assert (status, body["status"]) == (401, 401), path
        assert b"connection: close" in head


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"POST /v1/nothing HTTP/1.1\r\n", 404),
        (b"PUT /v1/batch/uploads/ HTTP/1.1\r\n", 404),
        (b"PATCH /v1/batch/rides HTTP/1.1\r\n", 405),
        (b"PUT /v1/batch/rides/uploads HTTP/1.1\r\n", 405),
        (b"POST /healthz HTTP/1.1\r\n", 405),
        (b"BREW /v1/batch HTTP/1.1\r\n", 405),
    ],
)
def test_unknown_addresses_and_methods_are_refused_before_the_body_comes(made, line, status):
    with sent(made, line + BODY) as connection:
        assert answer_of(connection)[0] == status


def test_a_key_without_the_scope_is_refused_before_the_body_comes(made):
    key = made.client("read").headers["Authorization"].encode()
    with sent(made, b"PUT /v1/batch/rides HTTP/1.1\r\nAuthorization: " + key + b"\r\n" + BODY) as connection:
        status, _, body = answer_of(connection)
    assert status == 403
    assert "scope operate is needed" in body["detail"]


def test_the_limit_of_uploads_is_for_uploads_alone(made):
    large = b"Content-Length: 2000000\r\n"
    key = b"Authorization: " + made.key.encode() + b"\r\n"
    with sent(made, b"PUT /v1/batch/uploads HTTP/1.1\r\n" + key + large) as connection:
        assert answer_of(connection)[0] == 413
    content = b"x" * 2_000_000
    assert made.operator.post("/v1/batch/rides/uploads?name=a.csv", content=content).status_code == 201


def test_a_body_that_trickles_is_not_waited_for(made):
    key = b"Authorization: " + made.key.encode() + b"\r\n"
    begun = time.monotonic()
    with sent(made, b"POST /v1/batch/rides/jobs HTTP/1.1\r\n" + key + BODY, b"{") as connection:
        assert answer_of(connection)[0] == 408
    upload = b"POST /v1/batch/rides/uploads?name=a.csv HTTP/1.1\r\n"
    with sent(made, upload + key + BODY, b"a") as connection:
        assert answer_of(connection)[0] == 408
    assert time.monotonic() - begun < 3
    with sent(made, upload + key + BODY, b"a") as connection:
        status = None
        for _ in range(30):
            try:
                connection.sendall(b"a")
            except OSError:
                break
            time.sleep(0.1)
        status = answer_of(connection)[0]
    assert status == 408
    assert time.monotonic() - begun < 8


def test_a_client_reads_so_many_bodies_at_once(made):
    head = b"POST /v1/batch/rides/jobs HTTP/1.1\r\nAuthorization: " + made.key.encode() + b"\r\n" + BODY
    with sent(made, head) as first, sent(made, head) as second:
        time.sleep(0.2)
        with sent(made, head) as third:
            assert answer_of(third)[0] == 429
        other = made.client("score")
        assert other.post("/v1/batch/rides/jobs", json={}).status_code == 202
        assert answer_of(first)[0] == answer_of(second)[0] == 408


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
    ],
)
def test_bodies_of_two_lengths_are_refused(made, lines):
    head = b"POST /v1/batch/rides/jobs HTTP/1.1\r\nAuthorization: " + made.key.encode() + b"\r\n"
    with sent(made, head + lines, b"{}") as connection:
        content = b""
        while piece := connection.recv(65536):
            content += piece
    assert content.split()[1] in (b"400", b"501")


def test_bombs_are_refused_of_clients_too(made):
    bombs = [b'{"inputs":[' + b"[]," * 300_000 + b"[]]}", b"[" * 900_000, b'{"inputs":["\\ud800"]}']
    for bomb in bombs:
        answer = made.operator.post("/v1/batch/rides/jobs", content=bomb, headers={"Content-Type": "application/json"})
        assert "body: " in is_problem(answer, 422)


def test_too_many_and_double_headers_are_refused(made):
    many = {f"x-{number}": "a" for number in range(120)}
    assert is_problem(made.operator.get("/v1/batch", headers=many), 431)
    twice = [("Authorization", made.key), ("Authorization", "Bearer other")]
    assert "twice" in is_problem(made.nobody.get("/v1/batch", headers=twice), 401)
    assert "more than 8,192" in is_problem(made.nobody.get("/v1/batch", headers={"X-API-Key": "a" * 9000}), 401)


def test_hosts_are_checked_where_they_are_set(tmp_path):
    limits = Limits(hosts=("models.example.org",))
    with gateway(tmp_path, limits) as running:
        for host in ("models.example.org", "models.example.org:8700", "MODELS.example.org"):
            assert running.nobody.get("/healthz", headers={"Host": host}).status_code == 200
        for host in ("evil.example.org", "127.0.0.1", "models.example.org.evil.net"):
            assert "MYRIAD_GATEWAY_HOSTS" in is_problem(running.nobody.get("/healthz", headers={"Host": host}), 400)


def test_a_slash_too_many_is_no_redirect(made):
    answer = made.nobody.get("/v1/batch/", headers={"Host": "evil.example.org"})
    assert is_problem(answer, 404)
    assert "evil" not in answer.text + str(answer.headers)


def test_every_answer_has_the_headers_that_browsers_and_caches_need(made):
    for path in ("/v1/batch", "/v1/nothing", "/v1/links/a.b.c", "/v1/audit", "/healthz", "/openapi.json"):
        answer = made.nobody.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        is_open = path in ("/healthz", "/openapi.json")
        assert answer.headers.get("cache-control") == (None if is_open else "no-store")
    assert made.operator.get("/v1/batch").headers["cache-control"] == "no-store"


def test_a_message_whose_signature_cannot_hold_is_refused_before_its_body_comes(made, monkeypatch):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made.operator.put("/v1/triggers/signed", json={"endpoint": "rides", "verification": "signature"}).raise_for_status()
    head = b"POST /v1/triggers/signed HTTP/1.1\r\nwebhook-id: a\r\nwebhook-signature: v1,AAAA\r\n"
    with sent(made, head + b"webhook-timestamp: 1700000000\r\n" + BODY) as connection:
        status, _, body = answer_of(connection)
    assert (status, "too old" in body["detail"]) == (401, True)
    # One that could hold is read for a while, and no longer.
    fresh = f"webhook-timestamp: {int(time.time())}\r\n".encode()
    with sent(made, head + fresh + BODY, b"{") as connection:
        assert answer_of(connection)[0] == 408


def test_an_address_that_guesses_signatures_is_not_read_any_more(tmp_path, monkeypatch):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    with gateway(tmp_path, Limits(unauthenticated_per_second=0.01, unauthenticated_at_once=3)) as running:
        operator = running.client("operate")
        operator.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        operator.put("/v1/triggers/signed", json={"endpoint": "rides", "verification": "signature"}).raise_for_status()
        stamp = str(int(time.time()))
        headers = {"webhook-id": "a", "webhook-timestamp": stamp, "webhook-signature": "v1,AAAA"}
        statuses = [running.nobody.post("/v1/triggers/signed", json={}, headers=headers).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        with sent(running, b"POST /v1/triggers/signed HTTP/1.1\r\n" + lines + BODY) as connection:
            assert answer_of(connection)[0] == 429
        assert operator.get("/v1/batch").status_code == 200


@pytest.mark.parametrize("name", ["a%00b", "landing%0a", "%1b%5b31m"])
def test_control_characters_in_a_path_reach_no_database(made, name, monkeypatch):
    asked = []
    monkeypatch.setattr(made.store.triggers, "get", asked.append)
    headers = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
    is_problem(made.nobody.post(f"/v1/triggers/{name}", content=b"{}", headers=headers), 404)
    assert not asked, "PostgreSQL refuses NUL with an error"
