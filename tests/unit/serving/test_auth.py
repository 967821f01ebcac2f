"""Refusals, over every route of the OpenAPI document: no key, keys that do not reach, too much at once."""

import http.client
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from gateway import SECRET, gateway, is_problem

from adapters.gateway.api_keys import create_key, revoke_key, rotate_key
from domain.errors import RequestError, UnknownNameError
from domain.gateway.api_keys import SCOPES, Key, make_key
from serving.app import Limits
from serving.limits import RateLimit
from serving.openapi import OPEN

VALUES = {
    "endpoint": "rides",
    "job": "job-20260101T000000-00000000",
    "token": "job.csv.1.x",
    "hook": "landing",
    "fleet": "rides",
    "subscription": "app",
}
SCOPE_OF = {
    ("get", "/v1/batch"): "read",
    ("get", "/v1/batch/{endpoint}"): "read",
    ("put", "/v1/batch/{endpoint}"): "operate",
    ("delete", "/v1/batch/{endpoint}"): "operate",
    ("get", "/v1/batch/{endpoint}/jobs"): "read",
    ("post", "/v1/batch/{endpoint}/jobs"): "score",
    ("get", "/v1/batch/{endpoint}/jobs/{job}"): "read",
    ("delete", "/v1/batch/{endpoint}/jobs/{job}"): "score",
    ("get", "/v1/batch/{endpoint}/jobs/{job}/logs"): "read",
    ("get", "/v1/batch/{endpoint}/jobs/{job}/output"): "read",
    ("post", "/v1/batch/{endpoint}/jobs/{job}/links"): "read",
    ("post", "/v1/batch/{endpoint}/uploads"): "score",
    ("get", "/v1/triggers"): "read",
    ("put", "/v1/triggers/{hook}"): "operate",
    ("delete", "/v1/triggers/{hook}"): "operate",
    ("post", "/v1/triggers/{hook}"): "score",
    ("get", "/v1/fleets/{fleet}/reports"): "read",
    ("get", "/v1/fleets/{fleet}/report"): "read",
    ("get", "/v1/audit"): "admin",
    ("get", "/v1/subscriptions"): "operate",
    ("put", "/v1/subscriptions/{subscription}"): "operate",
    ("delete", "/v1/subscriptions/{subscription}"): "operate",
    ("get", "/v1/subscriptions/{subscription}/messages"): "operate",
    ("post", "/v1/subscriptions/{subscription}/replay"): "operate",
}
ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("gateway")) as found:
        found.client("operate").put("/v1/batch/rides", json=ENDPOINT)
        yield found


@pytest.fixture(scope="module")
def document(made):
    return made.nobody.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method in methods:
            yield method, path, path.format(**VALUES)


def test_every_route_is_closed_to_unauthenticated_clients(made, document):
    closed = [(method, path, place) for method, path, place in operations(document) if path not in OPEN]
    assert {(method, path) for method, path, _ in closed} == SCOPE_OF.keys()
    for method, _, place in closed:
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"X-API-Key": make_key().text}):
            answer = made.nobody.request(method, place, headers=headers)
            is_problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_route_says_in_the_document_that_it_needs_a_key(document):
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (path not in OPEN)
            if path not in OPEN:
                assert {"401", "403", "429"} <= operation["responses"].keys()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_opens_what_it_is_for_and_nothing_else(made, document, scope):
    client = made.client(scope)
    implied = {"read": {"read"}, "score": {"read", "score"}, "operate": {"read", "operate"}, "admin": set(SCOPES)}
    for method, path, place in operations(document):
        if path in OPEN:
            continue
        answer = client.request(method, place, params={"name": "a.csv"})
        if SCOPE_OF[method, path] in implied[scope]:
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert f"the scope {SCOPE_OF[method, path]} is needed" in is_problem(answer, 403)
    made.client("operate").put("/v1/batch/rides", json=ENDPOINT)  # Some scopes may delete it.


def test_a_key_for_one_endpoint_opens_no_other(made):
    made.client("operate").put("/v1/batch/other", json=ENDPOINT)
    client = made.client("score", endpoints=("other",))
    assert client.get("/v1/batch/other").status_code == 200
    assert "it is not for endpoint rides" in is_problem(client.get("/v1/batch/rides"), 403)
    assert [one["name"] for one in client.get("/v1/batch").json()["endpoints"]] == ["other"]


def test_the_key_may_be_in_a_header_of_its_own(made):
    key = made.client("read").headers["Authorization"].removeprefix("Bearer ")
    assert made.nobody.get("/v1/batch", headers={"X-API-Key": key}).status_code == 200


def test_keys_are_rotated_without_a_gap_and_end_when_they_are_revoked(made):
    first, held = create_key(made.store, "shop", ["read"], [], None)
    with pytest.raises(RequestError, match="client shop has a key; `myriad keys rotate shop`"):
        create_key(made.store, "shop", ["read"], [], None)
    second, _ = rotate_key(made.store, "shop", None)
    with pytest.raises(RequestError, match="has two keys"):
        rotate_key(made.store, "shop", None)

    def status(key):
        return made.nobody.get("/v1/batch", headers={"X-API-Key": key}).status_code

    assert (status(first), status(second)) == (200, 200)
    revoke_key(made.store, held.prefix)
    assert (status(first), status(second)) == (401, 200)
    told = is_problem(made.nobody.get("/v1/batch", headers={"X-API-Key": first}), 401)
    assert told.startswith(f"key {held.prefix} was revoked on {datetime.now(UTC):%Y-%m-%d}")
    with pytest.raises(UnknownNameError, match="there is none that holds"):
        revoke_key(made.store, held.prefix)
    third, made_third = rotate_key(made.store, "shop", 1)
    assert (made_third.slot, status(third)) == ("primary", 200)
    with pytest.raises(UnknownNameError, match=r"client shpo has no key.*shop"):
        rotate_key(made.store, "shpo", None)


def test_an_expired_key_is_told_when(made):
    new, past = make_key(), datetime.now(UTC) - timedelta(days=1)
    made.store.keys.add(Key("old", "primary", new.prefix, new.digest, ("read",), (), past - timedelta(days=1), past))
    told = is_problem(made.nobody.get("/v1/batch", headers={"X-API-Key": new.text}), 401)
    assert told == f"key {new.prefix} expired on {past:%Y-%m-%d %H:%M} UTC"


def test_neither_keys_nor_their_secrets_are_kept(made):
    client = made.client("score", name="quiet")
    key = client.headers["Authorization"].removeprefix("Bearer ")
    client.post("/v1/batch/rides/jobs", json={})
    content = b"".join(path.read_bytes() for path in made.app.state.services.home.glob("gateway.db*"))
    assert key.encode() not in content
    assert key.split("_", 2)[2].encode() not in content
    assert b"quiet" in content


def test_who_did_what_is_written_down(made):
    client = made.client("score", name="writer")
    job = client.post("/v1/batch/rides/jobs", json={}).json()
    client.delete(f"/v1/batch/rides/jobs/{job['id']}")
    entries = [entry for entry in made.store.audit.newest(100) if entry["client"] == "writer"]
    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("job.cancel", job["id"]),
        ("job.create", job["id"]),
    ]
    shown = made.client("admin").get("/v1/audit?limit=100").json()["entries"]
    assert [entry["action"] for entry in shown if entry["client"] == "writer"] == ["job.cancel", "job.create"]


@pytest.fixture
def narrow(tmp_path):
    limits = Limits(body_bytes=2_000, upload_bytes=5_000, per_second=0.5, at_once=5, unauthenticated_per_second=0.5)
    with gateway(tmp_path, limits) as found:
        found.client("operate").put("/v1/batch/rides", json=ENDPOINT)
        yield found


def pieces(count):
    for _ in range(count):
        yield b"x" * 1_000


def test_bodies_that_are_too_large_are_refused_by_their_length_and_in_their_middle(narrow):
    client = narrow.client("score")
    jobs, uploads = "/v1/batch/rides/jobs", "/v1/batch/rides/uploads?name=a.csv"
    assert "larger than the 2,000 bytes" in is_problem(client.post(jobs, content=b"x" * 2_001), 413)
    assert "larger than the 5,000 bytes" in is_problem(client.post(uploads, content=pieces(20)), 413)
    assert client.post(uploads, content=pieces(5)).status_code == 201
    assert not list(narrow.app.state.services.home.glob("lake/rides/_uploads/*/.*")), "nothing half is left"
    # A gigabyte is refused before it is sent.
    asked = http.client.HTTPConnection("127.0.0.1", httpx.URL(narrow.url).port, timeout=60)
    asked.putrequest("POST", jobs)
    asked.putheader("Content-Length", str(1 << 30))
    asked.endheaders()
    assert asked.getresponse().status == 413
    asked.close()


def test_a_client_that_asks_too_often_has_to_wait(narrow):
    client, other = narrow.client("read"), narrow.client("read")
    statuses = [client.get("/v1/batch").status_code for _ in range(8)]
    assert statuses[:5] == [200] * 5
    answer = client.get("/v1/batch")
    assert "too many requests" in is_problem(answer, 429)
    assert int(answer.headers["retry-after"]) >= 1
    assert other.get("/v1/batch").status_code == 200


def test_whoever_guesses_keys_has_to_wait(narrow):
    statuses = [narrow.nobody.get("/v1/batch", headers={"X-API-Key": make_key().text}).status_code for _ in range(25)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_errors_tell_nothing_of_the_inside(made, monkeypatch):
    def broken(*_):
        raise RuntimeError("password=hunter2")

    client = made.client("read")
    monkeypatch.setattr(type(made.store.endpoints), "all", broken)
    detail = is_problem(client.get("/v1/batch"), 500)
    assert re.fullmatch("the gateway failed; reference [0-9a-f]{8} in its log", detail)


def test_no_secret_is_in_a_log_the_audit_an_answer_or_the_database(tmp_path, caplog, monkeypatch):
    secret = "whsec_c2VjcmV0IG9mIHRoZSBob29rIG9ubHk="
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", secret)
    caplog.set_level("DEBUG")
    with gateway(tmp_path) as found:
        operator = found.client("operate", "score")
        key = operator.headers["Authorization"].removeprefix("Bearer ")
        wrong = make_key().text
        answers = [
            operator.put("/v1/batch/rides", json=ENDPOINT),
            operator.put("/v1/triggers/signed", json={"endpoint": "rides", "verification": "signature"}),
            found.nobody.post("/v1/triggers/signed", json={}, headers={"webhook-signature": "v1,AAAA"}),
            operator.put("/v1/subscriptions/app", json={"url": "https://app.example.org/?token=a"}),
            operator.put("/v1/subscriptions/app", json={"url": "https://user:hunter2@app.example.org/"}),
            operator.post("/v1/batch/rides/jobs", json={}, headers={"Idempotency-Key": "x"}),
            found.nobody.get("/v1/batch", headers={"X-API-Key": wrong}),
            found.nobody.get("/v1/batch", headers={"Authorization": f"Bearer {wrong}"}),
            found.client("admin").get("/v1/audit"),
        ]
        found.runs.away = True
        answers.append(operator.get("/readyz"))
        content = "".join(path.read_bytes().decode("latin1") for path in tmp_path.glob("gateway.db*"))
    texts = {"log": caplog.text, "answers": "".join(answer.text for answer in answers), "database": content}
    for name, text in texts.items():
        for one in (key, key.split("_", 2)[2], wrong, secret, secret.removeprefix("whsec_"), "hunter2", SECRET):
            assert one not in text, name


def test_a_client_that_rested_for_long_may_ask_so_often_at_once_and_no_more():
    limit = RateLimit(per_second=2.0, at_once=3)
    assert limit.take("shop", now=0.0) == 0.0
    # An hour later: not 7,200 requests at once.
    assert [limit.take("shop", now=3600.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limit.take("shop", now=3600.5) == 0.0
    assert limit.take("other", now=3600.0) == 0.0
