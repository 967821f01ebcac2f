"""The OpenAPI document is what the gateway does: generated requests get no 5xx, and no answer that it does not have."""

import subprocess
import sys
from pathlib import Path

import pytest
from gateway import gateway

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("gateway")) as found:
        operator = found.client("operate", "score")
        operator.put("/v1/batch/m3", json=ENDPOINT)
        operator.put("/v1/triggers/landing", json={"endpoint": "m3"})
        yield found


@pytest.mark.parametrize("scope", ["admin", None])
def test_generated_requests_get_documented_answers(made, tmp_path, scope):
    command = [SCHEMATHESIS, "run", f"{made.url}/openapi.json", "--phases", "examples,coverage", "--seed", "1"]
    # A request that fits the document may still name what is not there.
    command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", "5", "--no-color"]
    if scope:
        key = made.client(scope).headers["Authorization"]
        command += ["--header", f"Authorization: {key}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "generated" in done.stdout, done.stdout
