"""The access log: a line per request, with the route and the key's prefix, and nothing that a client sent."""

import logging
import time

import pytest
from gateway import gateway

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}


@pytest.fixture
def made(tmp_path, caplog):
    with gateway(tmp_path) as found, caplog.at_level(logging.INFO, "myriad.access"):
        yield found


def records(caplog, count):
    """The lines of the log, once there are so many: each is written after its answer has been sent."""
    end = time.monotonic() + 30
    while True:
        found = [record for record in caplog.records if record.name == "myriad.access"]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.01)


def test_requests_are_logged_by_route_status_time_and_key(made, caplog):
    client = made.client("operate", "score")
    client.put("/v1/batch/rides", json=ENDPOINT)
    client.get("/v1/batch/rides/jobs?limit=7")
    prefix = client.headers["Authorization"].split("_")[1]
    put, listed = records(caplog, 2)
    assert (put.fields["method"], put.fields["route"], put.fields["status"]) == ("PUT", "/v1/batch/{endpoint}", 200)
    assert put.fields["key"] == f"key {prefix}"
    assert put.fields["ms"] >= 0
    assert listed.getMessage().startswith("GET /v1/batch/{endpoint}/jobs 200 ")


def test_secrets_queries_and_tokens_are_not_logged(made, caplog):
    client = made.client("read")
    client.get("/v1/batch?secret=tomato")
    made.nobody.get("/v1/links/cucumber.csv.1.x")
    made.nobody.get("/v1/batch", headers={"Authorization": "Bearer potato"})
    made.nobody.get("/onion")
    text = "\n".join(record.getMessage() for record in records(caplog, 4))
    assert "GET /v1/links/{token} 404" in text
    assert "GET /v1/batch 401" in text
    assert "GET - 404" in text
    key = client.headers["Authorization"].removeprefix("Bearer ")
    for secret in ("tomato", "cucumber", "potato", "onion", key, key.split("_")[-1]):
        assert secret not in text


def test_probes_leave_no_line(made, caplog):
    made.nobody.get("/healthz")
    made.nobody.get("/readyz")
    made.nobody.get("/v1/nothing")
    assert [record.fields["route"] for record in records(caplog, 1)] == ["-"]
