"""Bodies of any form, at every address that takes one: no answer is a 5xx, and the reconciler goes on."""

import json

import pytest
from gateway import SUBSCRIBER, complete, gateway, now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
NAMES = [
    "Records",
    "s3",
    "bucket",
    "name",
    "object",
    "key",
    "eventName",
    "eTag",
    "versionId",
    "detail",
    "detail-type",
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "data",
    "uri",
    "uris",
    "version",
    "etag",
    "message",
    "new_entry",
    "newEntry",
    "new_parent_path",
    "is_directory",
    "attributes",
    "md5",
    "event_type",
    "endpoint",
    "deployment",
    "verification",
    "delivery",
    "include",
    "debounce_seconds",
    "sweep_seconds",
    "overrides",
    "url",
    "events",
    "inputs",
    "output",
    "format",
    "folder",
    "deployments",
    "default",
    "fleet",
    "settings",
    "release",
    "retries",
    "timeout_seconds",
]
VALUES = [
    "rides",
    "blue",
    "today/a.csv",
    "/buckets/raw/x.csv",
    "s3:ObjectCreated:Put",
    "ObjectCreated:Put",
    "1.0",
    "signature",
    "event",
    "csv",
    "job.failed",
    "upload://x",
    "s3://raw/a.csv",
    "https://app.example.org/x",
]
TEXTS = st.one_of(
    st.sampled_from(
        ["Object Created", "\x00", "\ud800", "x" * 1025, "../a", "a\nb", "%00", "", "\u2028", "*", *VALUES]
    ),
    st.text(max_size=20),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXTS)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXTS), inner, max_size=6)
    ),
    max_leaves=20,
)
KINDS = st.sampled_from(["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"])
CALLS = st.sampled_from(
    [
        ("POST", "/v1/triggers/landing"),
        ("POST", "/v1/hooks/landing"),
        ("PUT", "/v1/triggers/fuzzed"),
        ("PUT", "/v1/subscriptions/fuzzed"),
        ("PUT", "/v1/batch/fuzzed"),
        ("POST", "/v1/batch/rides/jobs"),
    ]
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "today").mkdir()
    (folder / "today/a.csv").write_text("ride,city,route,distance,weather\nr1,ulm,a,2.5,dry\n")
    with gateway(folder) as gate:
        gate.root = gate.client("admin", name="root")
        gate.root.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        gate.root.put("/v1/triggers/landing", json={"endpoint": "rides", "debounce_seconds": 0}).raise_for_status()
        gate.root.put("/v1/subscriptions/app", json={"url": SUBSCRIBER}).raise_for_status()
        yield gate


def test_no_body_makes_an_error_of_the_server_and_jobs_go_on(made):
    statuses = set()

    @settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS, DOCUMENTS, KINDS)
    def send(call, document, kind):
        method, address = call
        # As a sender would write them: half characters escaped, NaN as a word.
        answer = made.root.request(
            method, address, content=json.dumps(document).encode(), headers={"Content-Type": kind}
        )
        assert answer.status_code < 500, (call, document, answer.text)
        statuses.add(answer.status_code)

    send()
    assert {202, 422} <= statuses
    job = made.root.post("/v1/batch/rides/jobs", json={}).json()
    for second in range(0, 1500, 30):
        made.reconciler.step(now(second))
    complete(made, job)
    assert made.root.get(job["links"]["self"]).json()["state"] == "completed"
    while made.dispatcher.step(now()):
        continue
    delivered = made.root.get("/v1/subscriptions/app/messages?state=delivered&limit=200").json()["messages"]
    assert f"{job['id']}.completed" in [message["id"] for message in delivered]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), KINDS)
def test_no_bytes_make_an_error_of_the_server(made, content, kind):
    answer = made.root.post("/v1/triggers/landing", content=content, headers={"Content-Type": kind})
    assert answer.status_code < 500
