"""Endpoints are deleted once nothing needs them, by those who may create them."""

from datetime import UTC, datetime

import pytest
from gateway import SUBSCRIBER, complete, gateway, is_problem

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
PLACE = "/v1/batch/rides"


@pytest.fixture
def made(tmp_path):
    with gateway(tmp_path) as found:
        found.operator = found.client("operate", "score", name="operator")
        assert found.operator.put(PLACE, json=ENDPOINT).status_code == 200
        yield found


def test_an_endpoint_is_deleted_and_its_ended_jobs_stay(made):
    job = made.operator.post(f"{PLACE}/jobs", json={}).json()
    made.reconciler.step(datetime.now(UTC))
    complete(made, job)
    assert made.operator.delete(PLACE).status_code == 204
    assert "there is none" in is_problem(made.operator.get(PLACE), 404)
    assert "there is none" in is_problem(made.operator.delete(PLACE), 404)
    assert made.operator.get(job["links"]["self"]).json()["state"] == "completed"
    entries = made.client("admin").get("/v1/audit").json()["entries"]
    assert [entry["target"] for entry in entries if entry["action"] == "endpoint.delete"] == ["rides"]


def test_an_endpoint_that_others_need_stays_and_the_answer_names_them(made):
    made.operator.post(f"{PLACE}/jobs", json={})
    made.operator.put("/v1/triggers/landing", json={"endpoint": "rides"})
    made.operator.put("/v1/subscriptions/app", json={"url": SUBSCRIBER, "endpoint": "rides"})
    made.operator.put("/v1/subscriptions/all", json={"url": SUBSCRIBER})
    detail = is_problem(made.operator.delete(PLACE), 409)
    assert "1 job that has not ended, trigger landing, subscription app; end or delete them first" in detail
    assert made.operator.get(PLACE).status_code == 200


def test_only_the_version_that_the_client_saw_is_deleted(made):
    assert "changed meanwhile" in is_problem(made.operator.delete(PLACE, headers={"If-Match": '"2"'}), 412)
    assert made.operator.delete(PLACE, headers={"If-Match": '"1"'}).status_code == 204


def test_a_key_for_an_endpoint_cannot_delete_it(made):
    client = made.client("operate", endpoints=("rides",))
    assert "cannot delete them" in is_problem(client.delete(PLACE), 403)
    assert made.operator.get(PLACE).status_code == 200


def test_an_endpoint_of_a_fleet_that_was_never_trained_is_refused_with_the_way_out(made, tmp_path):
    content = (tmp_path / "fleets" / "rides.yaml").read_text().replace('"name": "rides"', '"name": "young"')
    (tmp_path / "fleets" / "young.yaml").write_text(content)
    made.runs.known = lambda deployment: True
    definition = {"deployments": {"blue": {"fleet": "young"}}, "default": "blue"}
    answer = made.operator.put("/v1/batch/young", json=definition)
    assert "fleet young has no release yet" in is_problem(answer, 409)
    assert "myriad run young" in is_problem(answer, 409)
    assert made.operator.get("/v1/batch/young").status_code == 404
