"""Bodies that nobody would write on purpose: every route that takes one answers with 2xx or 4xx, and goes on."""

import json
from datetime import UTC, datetime

import pytest
from gateway import gateway
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
ROUTES = [
    ("POST", "/v1/batch/rides/jobs"),
    ("PUT", "/v1/batch/other"),
    ("PUT", "/v1/triggers/other"),
    ("POST", "/v1/triggers/landing"),
    ("PUT", "/v1/subscriptions/app"),
]
TYPES = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"]
NAMES = """Records s3 bucket object name key size eTag eventName eventTime eventSource detail detail-type source uri
uris version etag specversion type id data subject time datacontenttype event_type message new_entry
new_parent_path inputs deployment overrides output format folder release retries timeout_seconds workers
endpoint verification delivery include debounce_seconds sweep_seconds deployments default fleet settings
url events"""
TEXTS = [
    "s3://raw/a.csv",
    "today/a.csv",
    "upload://a/b",
    "file:///proc/self/environ",
    "http://[::1",
    "http://a:99999999/",
    "https://app.example.org/hooks",
    "\x00",
    "a" * 5000,
    "ObjectCreated:Put",
    "1.0",
    "rides",
    "%00%ff",
    "2026-11-26T10:00:00Z",
    "9999-99-99",
    "\ud800",
    "../" * 50,
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text(st.characters(codec=None), max_size=20)
)
names = st.sampled_from(NAMES.split()) | st.text(max_size=5)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)
objects = st.fixed_dictionaries({"key": documents, "size": scalars, "eTag": scalars})
records = st.fixed_dictionaries(
    {
        "eventSource": st.just("aws:s3") | scalars,
        "eventName": st.just("ObjectCreated:Put") | scalars,
        "s3": st.fixed_dictionaries({"bucket": st.just({"name": "raw"}) | documents, "object": objects | documents})
        | documents,
    }
)
clouds = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0") | scalars,
        "type": st.just("com.example") | scalars,
        "source": st.just("/store") | scalars,
        "id": st.just("1") | scalars,
    },
    optional={"data": documents, "subject": documents, "time": scalars, "datacontenttype": scalars},
)
bridges = st.fixed_dictionaries(
    {"detail-type": scalars, "detail": documents | st.fixed_dictionaries({"object": objects})}
)
weeds = st.fixed_dictionaries({"key": scalars, "event_type": scalars, "message": documents})
jobs = st.fixed_dictionaries(
    {}, optional={"inputs": st.lists(scalars, max_size=3) | scalars, "overrides": documents, "output": documents}
)
subscriptions = st.fixed_dictionaries({"url": scalars}, optional={"events": documents, "endpoint": scalars})
triggers = st.fixed_dictionaries(
    {"endpoint": st.just("rides") | scalars}, optional={"include": documents, "overrides": documents}
)
shaped = st.one_of(
    st.fixed_dictionaries({"Records": st.lists(records, max_size=3)}),
    clouds,
    st.lists(clouds, max_size=3),
    bridges,
    weeds,
    st.fixed_dictionaries({"uris": st.lists(scalars, max_size=3)}),
    jobs,
    subscriptions,
    triggers,
)
bodies = (documents | shaped).map(lambda document: json.dumps(document).encode()) | st.binary(max_size=60)
ODD = [
    b"",
    b"[" * 900_000,
    b'{"uri":' * 20_000,
    b'{"uri": 1e999}',
    b'{"uri": 1' + b"0" * 5000 + b"}",
    b'{"uris": [' + b'"a",' * 20_000 + b'"a"]}',
    b"{'uri': 'a'}",
    b'{"uri": NaN, "uri": "\xff"}',
    '{"uri": "a"}'.encode("utf-16"),
    b"\xef\xbb\xbf{}",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        running.operator = running.client("operate", "score")
        running.operator.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        running.operator.put(
            "/v1/triggers/landing", json={"endpoint": "rides", "debounce_seconds": 0}
        ).raise_for_status()
        yield running


def check(made, method, path, body, kind):
    answer = made.operator.request(method, path, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500, (answer.text, body[:2000])
    assert made.operator.get("/v1/batch/rides").status_code == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=bodies, kind=st.sampled_from(TYPES))
def test_no_body_is_answered_with_an_error_of_ours(made, method, path, body, kind):
    check(made, method, path, body, kind)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("number", range(len(ODD)))
def test_no_odd_body_is_answered_with_an_error_of_ours(made, method, path, number):
    for kind in TYPES:
        check(made, method, path, ODD[number], kind)


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=bodies,
    headers=st.dictionaries(
        st.sampled_from(["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject", "content-type"]),
        st.sampled_from(["1.0", "", "\xff", "application/json", "text/xml", "2026", "%00", "a" * 2000]),
    ),
)
def test_no_headers_of_an_event_are_answered_with_an_error_of_ours(made, body, headers):
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = made.operator.post("/v1/triggers/landing", content=body, headers=encoded)
    assert answer.status_code < 500, (answer.text, body, headers)


def test_what_was_taken_does_not_stop_the_rest(made):
    """After all these: the reconciler still makes jobs of files."""
    answer = made.operator.post("/v1/batch/rides/jobs", json={})
    assert answer.status_code == 202, answer.text
    before = len(made.runs.started)
    made.reconciler.step(datetime.now(UTC))
    assert len(made.runs.started) > before
