"""Outgoing webhooks: whoever subscribed is told of every end of a job at least once, by a real HTTP server too."""

import json
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from gateway import HOSTS, SECRET, SUBSCRIBER, complete, gateway, is_problem, now, subscribe, subscribed
from standardwebhooks import Webhook

from adapters.gateway.webhook_client import send
from domain.errors import RequestError
from domain.gateway.subscriptions import check_target, pause


@pytest.fixture
def made(tmp_path):
    with subscribed(tmp_path, "rides", "other") as found:
        yield found


def completed_job(made, endpoint="rides"):
    job = made.operator.post(f"/v1/batch/{endpoint}/jobs", json={}).json()
    made.reconciler.step(now())
    complete(made, job)
    return job


def messages(made, name="app", **query):
    return made.operator.get(f"/v1/subscriptions/{name}/messages", params=query).json()["messages"]


def test_the_end_of_a_job_is_told_once_it_is_on_record(made):
    subscribe(made)
    job = completed_job(made)
    assert made.dispatcher.step(now()) == 1
    ((url, secrets, identity, body),) = made.sent
    assert (url, secrets, identity) == (SUBSCRIBER, (SECRET,), f"{job['id']}.completed")
    content = json.loads(body)
    assert content["type"] == "job.completed"
    data = content["data"]
    assert (data["id"], data["state"], data["release"], data["predictions"]) == (job["id"], "completed", 3, 9)
    assert data["job"] == job["links"]["self"]
    assert made.dispatcher.step(now(3600)) == 0
    assert [one["state"] for one in messages(made)] == ["delivered"]


def test_failures_and_cancellations_are_told_to_those_who_want_them(made):
    subscribe(made, "all")
    subscribe(made, "failures", events=["job.failed"])
    subscribe(made, "others", endpoint="other")
    made.operator.post("/v1/batch/rides/jobs", json={})
    made.reconciler.step(now())
    made.runs.become("failed", "no release")
    made.reconciler.step(now())
    cancelled = made.operator.post("/v1/batch/rides/jobs", json={}).json()
    made.operator.delete(cancelled["links"]["self"])
    made.reconciler.step(now())
    counts = {name: len(messages(made, name)) for name in ("all", "failures", "others")}
    assert counts == {"all": 2, "failures": 1, "others": 0}


def test_what_is_not_taken_is_sent_again_with_the_same_id_and_given_up_after_two_days(made):
    subscribe(made)
    completed_job(made)
    made.wrong = "answered with 503"
    moment, gaps = now(), []
    while made.dispatcher.step(moment):
        (one,) = messages(made)
        due = datetime.fromisoformat(one["due_at"])
        assert one["reason"] == "answered with 503"
        gaps.append((due - moment).total_seconds())
        assert made.dispatcher.step(due - timedelta(seconds=1)) == 0 if one["state"] == "waiting" else True
        moment = due
        if one["state"] == "dead":
            break
    assert len({identity for _, _, identity, _ in made.sent}) == 1
    assert len(made.sent) == 9
    assert gaps[:4] == [5, 30, 120, 600]
    assert 36 * 3600 < sum(gaps) < 60 * 3600
    assert [one["state"] for one in messages(made, state="dead")] == ["dead"]
    # Somebody mends the receiver and asks for it again.
    made.wrong = ""
    assert made.operator.post("/v1/subscriptions/app/replay").json() == {"messages": 1}
    assert made.dispatcher.step(now()) == 1
    (one,) = messages(made)
    assert (one["state"], one["attempts"]) == ("delivered", 1)
    again = made.operator.post("/v1/subscriptions/app/replay", params={"message": one["id"]})
    assert again.json() == {"messages": 1}
    is_problem(made.operator.post("/v1/subscriptions/app/replay", params={"message": "nope"}), 404)


def test_a_gateway_that_dies_with_a_message_in_its_hand_loses_none(made, tmp_path):
    subscribe(made)
    completed_job(made)
    claimed = made.store.deliveries.claim("app", now(), now(60))
    assert made.store.deliveries.claim("app", now(), now(60)) is None, "nobody else sends it meanwhile"
    with gateway(tmp_path) as another:
        assert another.dispatcher.step(now(30)) == 0
        assert another.dispatcher.step(now(61)) == 1
        assert [identity for _, _, identity, _ in another.sent] == [claimed.message]


def test_a_receiver_gets_a_signature_that_holds(made):
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((dict(self.headers), body))
            self.send_response(302 if "moved" in self.path else 204)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    place = f"http://127.0.0.1:{server.server_port}"
    try:
        assert send(f"{place}/hook", [SECRET], "id-1", '{"a": 1}') == ""
        assert send(f"{place}/moved", [SECRET], "id-1", "{}") == "answered with 302"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    headers, body = received[0]
    assert Webhook(SECRET).verify(body, headers) == {"a": 1}
    assert "ConnectError" in send(f"{place}/hook", [SECRET], "id-1", "{}")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.org/x",
        "https://app.example.org:8443/x",
        "https://app.example.org.evil.org/x",
        "https://evil.org/app.example.org",
        "https://user:pw@app.example.org/x",
        "https://app.example.org@evil.org/x",
        "http://127.0.0.1/x",
        "http://127.0.0.1:9998/x",
        "http://[::1]:9999/x",
        "http://169.254.169.254/latest",
        "ftp://app.example.org/x",
        "file:///etc/passwd",
        "https://app.example.org\\@evil.org/x",
        "https://app.example.org/x y",
        "https://app.example.org:x/",
        "nonsense",
    ],
)
def test_messages_go_to_allowed_hosts_alone(made, url):
    with pytest.raises(RequestError):
        check_target(url, HOSTS)
    is_problem(made.operator.put("/v1/subscriptions/app", json={"url": url}), 422)


@pytest.mark.parametrize(
    ("url", "hosts", "hint"),
    [
        (SUBSCRIBER, (), "which is empty; an operator adds app.example.org there and restarts the gateway"),
        ("https://other.org/x", HOSTS, "an operator adds other.org there"),
        (
            "https://app.example.org:8443/x",
            HOSTS,
            "an entry without a port stands for port 443 alone; an operator adds app.example.org:8443 there",
        ),
    ],
)
def test_a_host_that_is_not_allowed_is_refused_with_the_entry_that_allows_it(url, hosts, hint):
    with pytest.raises(RequestError) as refusal:
        check_target(url, hosts)
    assert hint in str(refusal.value)


def test_allowed_hosts_are_taken_by_name_and_port():
    for url in (SUBSCRIBER, "https://APP.example.org:443/x?y=1", "http://app.example.org/x", "http://127.0.0.1:9999/x"):
        check_target(url, HOSTS)


def test_a_subscription_that_cannot_work_is_refused(made):
    def answer(**change):
        return made.operator.put("/v1/subscriptions/app", json={"url": SUBSCRIBER} | change)

    assert "no such endpoint" in is_problem(answer(endpoint="nope"), 422)
    assert "job.completed" in is_problem(answer(events=["job.started"]), 422)
    is_problem(answer(events=[]), 422)
    is_problem(made.operator.get("/v1/subscriptions/nope/messages"), 404)
    is_problem(made.operator.delete("/v1/subscriptions/nope"), 404)


def test_an_ended_subscription_is_told_no_more(made):
    subscribe(made)
    completed_job(made)
    assert made.operator.delete("/v1/subscriptions/app").status_code == 204
    assert made.dispatcher.step(now()) == 0
    completed_job(made)
    assert made.store.deliveries.newest(None, None, 10) == []


def test_a_key_for_one_endpoint_sees_subscriptions_of_that_alone(made):
    subscribe(made)
    subscribe(made, "of-other", endpoint="other")
    limited = made.client("operate", endpoints=("other",))
    assert [one["name"] for one in limited.get("/v1/subscriptions").json()["subscriptions"]] == ["of-other"]
    is_problem(limited.get("/v1/subscriptions/app/messages"), 404)
    is_problem(limited.put("/v1/subscriptions/app", json={"url": SUBSCRIBER, "endpoint": "other"}), 403)
    is_problem(limited.put("/v1/subscriptions/new", json={"url": SUBSCRIBER}), 403)
    assert limited.put("/v1/subscriptions/new", json={"url": SUBSCRIBER, "endpoint": "other"}).status_code == 200


def test_messages_of_an_endpoint_do_not_pass_to_another_one(made):
    subscribe(made, endpoint="rides")
    completed_job(made)
    assert len(made.store.deliveries.newest("app", None, 10)) == 1
    subscribe(made, endpoint="rides")
    assert len(made.store.deliveries.newest("app", None, 10)) == 1
    subscribe(made, endpoint="other")
    assert made.store.deliveries.newest("app", None, 10) == []


def test_pauses_grow_until_it_is_given_up():
    found = [pause(attempt) for attempt in range(1, 10)]
    assert found[-1] is None
    known = [one for one in found if one is not None]
    assert known == sorted(known)
    assert timedelta(days=1) < sum(known, timedelta()) < timedelta(days=3)
