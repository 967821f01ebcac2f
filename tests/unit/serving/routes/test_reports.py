"""Reports of runs over HTTP: the page as it was written, and only to those who may see the fleet."""

import os

import pytest
from gateway import gateway, is_problem

PAGE = "<!doctype html><title>rides</title>"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "reports/rides").mkdir(parents=True)
    (folder / "secret.html").write_text("secret")
    for number, name in enumerate(("run-1", "run-2", "latest")):
        path = folder / "reports/rides" / f"{name}.html"
        path.write_text(f"{PAGE}{name}")
        os.utime(path, (1e9 + number, 1e9 + number))
    with gateway(folder) as found:
        operator = found.client("operate")
        for name, fleet in (("rides", "rides"), ("other", "plain")):
            content = {"deployments": {"blue": {"fleet": fleet}}, "default": "blue"}
            assert operator.put(f"/v1/batch/{name}", json=content).status_code == 200
        yield found


def test_the_newest_report_is_a_page_that_may_run_nothing(made):
    answer = made.client("read").get("/v1/fleets/rides/report")
    assert (answer.status_code, answer.text) == (200, f"{PAGE}run-2")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_reports_are_listed_newest_first_and_each_is_at_its_url(made):
    client = made.client("read")
    reports = client.get("/v1/fleets/rides/reports").json()["reports"]
    assert [report["run_id"] for report in reports] == ["run-2", "run-1"]
    assert client.get(reports[1]["url"]).text == f"{PAGE}run-1"
    assert client.get("/v1/fleets/plain/reports").json() == {"reports": []}


def test_what_is_not_there_is_a_problem_that_names_no_path(made):
    client = made.client("read")
    for place in ("/v1/fleets/rides/report?run_id=run-9", "/v1/fleets/plain/report", "/v1/fleets/nope/report"):
        assert "reports/" not in is_problem(client.get(place), 404)


@pytest.mark.parametrize("run", ["../secret", "..%2Fsecret", "../../secret", "%2Fetc%2Fpasswd", "run-1%00", "*", ""])
def test_no_run_leads_out_of_the_folder(made, run):
    is_problem(made.client("read").get(f"/v1/fleets/rides/report?run_id={run}"), 422)


@pytest.mark.parametrize("fleet", ["..", ".", "%2e%2e", "..%2f..", ".%2e/rides", "rides%2f..%2frides", "RIDES", "a%00"])
def test_no_fleet_leads_out_of_the_folder(made, fleet):
    answer = made.client("read").get(f"/v1/fleets/{fleet}/report")
    assert answer.status_code in (404, 422)
    assert "secret" not in answer.text


def test_a_key_for_an_endpoint_reads_the_reports_of_its_fleets_alone(made):
    client = made.client("read", endpoints=("rides",))
    assert client.get("/v1/fleets/rides/report").status_code == 200
    for fleet in ("plain", "nope"):
        for page in ("report", "reports"):
            detail = is_problem(client.get(f"/v1/fleets/{fleet}/{page}"), 403)
            assert f"fleet {fleet} is not behind rides" in detail
