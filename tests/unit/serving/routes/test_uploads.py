"""Uploads: the body is the file, and a form is refused with the way out."""

import pytest
from gateway import gateway, is_problem

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
PLACE = "/v1/batch/rides/uploads?name=rows.csv"
ROWS = "ride,city,route,distance,weather\nr1,ulm,a,2.5,dry\n"


@pytest.fixture
def client(tmp_path):
    with gateway(tmp_path) as found:
        client = found.client("operate", "score")
        client.put("/v1/batch/rides", json=ENDPOINT)
        yield client


def test_a_form_is_refused_with_the_way_out(client):
    detail = is_problem(client.post(PLACE, files={"file": ("rows.csv", ROWS)}), 415)
    assert "multipart/form-data: a form is not accepted" in detail
    assert "--data-binary @rows.csv" in detail


@pytest.mark.parametrize("kind", [None, "text/csv", "application/x-www-form-urlencoded"])
def test_a_file_as_the_body_is_kept_whatever_its_type(client, kind):
    answer = client.post(PLACE, content=ROWS, headers={"Content-Type": kind} if kind else {})
    assert (answer.status_code, answer.json()["bytes"]) == (201, len(ROWS))
