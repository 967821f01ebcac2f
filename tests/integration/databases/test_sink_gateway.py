"""A job of the gateway whose sink fails: its client knows, its predictions stay, and a retry only delivers them."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from gateway import gateway
from postgres_server import PASSWORD
from rides import PAIRS, rides, rides_fleet

from adapters.compute.dask import InlineWorkers
from adapters.lake.job_results import read_job_result
from adapters.lake.table import Lake
from adapters.registry import Registry
from domain.data.tables import PREDICTIONS
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext

pytestmark = pytest.mark.server
JOBS = "/v1/batch/rides/jobs"
FLOW = """
import json, sys
from flows.score import score
state = score("rides", **json.loads(sys.argv[1]), return_state=True)
print(json.dumps([state.type.value.lower(), state.message]), file=open("state.json", "w"))
"""


@pytest.fixture
def run(tmp_path):
    """A fleet with a release, and twelve rows to score."""
    for folder, name, count in (("history", "a", 90), ("today", "b", 12)):
        (tmp_path / folder).mkdir()
        rides(count, 1 + count, PAIRS).to_csv(tmp_path / folder / f"{name}.csv", index=False)
    fleet = rides_fleet(sink={"url": "env:MYRIAD_SINK"}, candidates=["mean"])
    run = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), "run-1", tmp_path), InlineWorkers())
    ingest_files(run, "observations", fleet.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers(run)
    return run


@pytest.fixture
def made(run, tmp_path):
    with gateway(tmp_path) as gate:
        content = run.fleet.model_dump(mode="json", exclude_defaults=True)
        (tmp_path / "fleets" / "rides.yaml").write_text(json.dumps(content))
        gate.folder = tmp_path
        yield gate


@pytest.fixture
def work(made, prefect_server):
    """Run the newest run of the gateway, and let the gateway see how it ended."""

    def work(sink):
        made.reconciler.step(datetime.now(UTC))
        key = list(made.runs.started)[-1]
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MYRIAD_", "MLFLOW_"))}
        own = {"PREFECT_API_URL": prefect_server, "MYRIAD_WORKERS": "1", "MYRIAD_LAKE": str(made.folder / "lake")}
        own |= {"MYRIAD_HOME": str(made.folder), "MYRIAD_SINK": sink}
        command = [sys.executable, "-c", FLOW, json.dumps(made.runs.started[key][1])]
        subprocess.run(command, cwd=made.folder, env=inherited | own, check=True, timeout=300)
        made.runs.become(*json.loads((made.folder / "state.json").read_text()), run=key)
        made.reconciler.step(datetime.now(UTC))

    return work


@pytest.fixture
def client(made):
    client = made.client("operate", "score", name="all")
    deployments = {"blue": {"fleet": "rides", "settings": {"retries": 1}}}
    assert client.put("/v1/batch/rides", json={"deployments": deployments, "default": "blue"}).status_code == 200
    return client


def test_a_job_whose_sink_fails_keeps_its_predictions_and_a_retry_delivers_without_scoring_again(
    made, run, work, server, client
):
    away = server.url().replace(str(server.port), "1")
    in_sink = "SELECT count(*), count(DISTINCT row_key), count(DISTINCT job_id) FROM rides_predictions"

    def post(**body):
        return client.post(JOBS, json={"inputs": [str(made.folder / "today")], **body}).json()["id"]

    def job(name):
        return client.get(f"{JOBS}/{name}").json()

    first = post()
    work(away)
    assert (job(first)["state"], job(first)["attempt"]) == ("queued", 1)
    assert "the predictions are committed, but the sink lacks some of them" in job(first)["reason"]
    assert not any(secret in json.dumps(job(first)) for secret in (PASSWORD, "s3cret", "127.0.0.1", "postgresql"))
    assert read_job_result(made.lake, "rides", first).rows == 12
    version, rows = run.table(PREDICTIONS).version(), run.table(PREDICTIONS).read()
    work(server.url())
    assert (job(first)["state"], job(first)["counts"]["predictions"]) == ("completed", 12)
    assert (run.table(PREDICTIONS).version(), run.table(PREDICTIONS).read()) == (version, rows)
    assert server.fetch(in_sink) == [(12, 12, 1)]

    rides(6, 7, PAIRS).to_csv(made.folder / "today" / "c.csv", index=False)
    second = post(overrides={"retries": 0})
    work(away)
    assert job(second)["state"] == "failed"
    assert "the next job delivers them, or a repeated `myriad score rides`" in job(second)["reason"]
    version = run.table(PREDICTIONS).version()
    assert run.table(PREDICTIONS).read().num_rows == 18
    third = post()
    work(server.url())
    assert (job(third)["state"], run.table(PREDICTIONS).version()) == ("completed", version)
    assert server.fetch(in_sink) == [(18, 18, 2)]
    texts = "".join(path.read_text(errors="replace") for path in made.folder.rglob("*") if path.is_file())
    assert not any(secret in texts for secret in (PASSWORD, "s3cret"))
