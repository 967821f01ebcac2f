"""Batch endpoints and jobs over HTTP, with a real database; a real Prefect server is in tests/flows."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gateway import account, complete, gateway, is_problem

import adapters.sources.precheck
from adapters.lake.job_results import heartbeat, last_heartbeat, read_job_result, write_job_result
from adapters.orchestration.flow_runs import LogLine
from domain.data.tables import PREDICTIONS
from domain.errors import LakeError, SourceError
from serving.background import job_reconciler as reconciler

ENDPOINT = {
    "deployments": {
        "blue": {"fleet": "rides", "settings": {"release": 3, "retries": 1}},
        "green": {"fleet": "rides"},
    },
    "default": "blue",
}
JOBS = "/v1/batch/rides/jobs"

ROWS = "ride,city,route,distance,weather\nr1,ulm,a,2.5,dry\n"
NO_SETTINGS = dict.fromkeys(("release", "retries", "timeout_seconds", "workers", "concurrency", "max_rejected_share"))


@pytest.fixture
def made(tmp_path):
    files = {"today/a.csv": ROWS, "extra/deep/b.csv": ROWS, "today/other.csv": "city,route,weather\nulm,a,dry\n"}
    files |= {"today/broken.parquet": "PAR", "today/notes.doc": "x"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    with gateway(tmp_path) as gate:
        gate.folder = tmp_path
        yield gate


@pytest.fixture
def client(made):
    """A client that may do all."""
    found = made.client("operate", "score", name="all")
    assert found.put("/v1/batch/rides", json=ENDPOINT).status_code == 200
    return found


def now():
    return datetime.now(UTC)


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert content["status"] == status
    return content


def test_an_endpoint_is_made_changed_and_switched(client, made):
    found = client.get("/v1/batch/rides")
    assert found.json() == ENDPOINT | {
        "name": "rides",
        "version": 1,
        "deployments": {
            "blue": {
                "fleet": "rides",
                "settings": NO_SETTINGS | {"release": 3, "retries": 1},
            },
            "green": {
                "fleet": "rides",
                "settings": NO_SETTINGS,
            },
        },
    }
    switched = client.put("/v1/batch/rides", json=ENDPOINT | {"default": "green"}, headers={"If-Match": '"1"'})
    assert (switched.json()["default"], switched.headers["etag"]) == ("green", '"2"')
    told = problem(client.put("/v1/batch/rides", json=ENDPOINT, headers={"If-Match": '"1"'}), 412)
    assert "it was changed meanwhile" in told["detail"]
    assert client.post(JOBS, json={}).json()["deployment"] == "green"
    assert client.put("/v1/batch/rides", json=ENDPOINT, headers={"If-Match": '"2"'}).json()["version"] == 3
    assert [one["name"] for one in client.get("/v1/batch").json()["endpoints"]] == ["rides"]
    actions = [entry["action"] for entry in made.store.audit.newest(10)]
    assert actions == ["endpoint.put", "job.create", "endpoint.put", "endpoint.put", "key.create"]


def test_a_job_is_taken_in_run_and_told_with_its_counts(client, made):
    asked = {"inputs": ["today/a.csv"], "overrides": {"max_rejected_share": 0.2}}
    inputs = [str(made.app.state.services.home / "today/a.csv")]
    asked["inputs"] = inputs
    answer = client.post(JOBS, json=asked)
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"{JOBS}/{job['id']}")
    assert (job["state"], job["deployment"], job["counts"], job["links"]["output"]) == ("queued", "blue", None, None)
    made.reconciler.step(now())
    ((label, parameters),) = made.runs.started.values()
    assert label == "score/rides"
    home = made.app.state.services.home
    within = [str(home / name) for name in ("extra", "today", "lake/rides/_uploads")]
    asked = {"run_id": job["id"], "release": 3, "inputs": inputs, "max_rejected_share": 0.2}
    assert parameters == {**asked, "within": within}
    made.runs.become("running")
    made.reconciler.step(now())
    running = client.get(f"{JOBS}/{job['id']}").json()
    assert (running["state"], running["progress"]) == ("running", {"stage": "score", "percent": 40.0})
    complete(made, job, uri=inputs[0])
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert (done["state"], done["release"], done["progress"]["percent"]) == ("completed", 3, 100.0)
    assert done["counts"]["predictions"] == 9
    (one,) = done["counts"]["inputs"]
    assert (one["rows"], one["accepted"], one["quarantined"], one["predictions"]) == (10, 9, 1, 9)
    assert done["links"]["output"] == f"{JOBS}/{job['id']}/output"
    assert done["started_at"] <= done["finished_at"]


def test_a_job_may_take_few_workers_and_write_a_file_where_that_is_allowed(client, made):
    folder = f"{made.app.state.services.home}/out"
    asked = {"output": {"format": "parquet", "folder": folder}, "overrides": {"workers": 2, "concurrency": 1}}
    job = client.post(JOBS, json=asked).json()
    made.reconciler.step(now())
    ((_, parameters),) = made.runs.started.values()
    assert parameters.items() >= {"workers": 2, "concurrency": 1, "output": f"{folder}/{job['id']}.parquet"}.items()
    assert (job["output"], job["output_uri"]) == ({"format": "parquet", "folder": folder}, None)
    complete(made, job)
    done = client.get(f"{JOBS}/{job['id']}").json()
    assert done["output_uri"] == f"{folder}/{job['id']}.parquet"
    for elsewhere in ("/etc", f"{folder}/../in", f"{folder}er", "s3://elsewhere/out"):
        told = problem(client.post(JOBS, json={"output": {"folder": elsewhere}}), 422)
        assert told["errors"][0]["field"] == "body.output.folder"
    for wrong in ({"workers": 0}, {"concurrency": 1.5}, {"nodes": 3}):
        told = problem(client.post(JOBS, json={"overrides": wrong}), 422)
        assert told["errors"][0]["field"] == f"body.overrides.{next(iter(wrong))}"


def test_an_idempotency_key_with_another_deployment_in_the_header_is_refused(client):
    key = {"Idempotency-Key": "once"}
    created = client.post(JOBS, json={}, headers=key | {"Myriad-Deployment": "green"})
    assert created.status_code == 202
    assert client.post(JOBS, json={}, headers=key | {"Myriad-Deployment": "green"}).json()["id"] == created.json()["id"]
    assert problem(client.post(JOBS, json={}, headers=key | {"Myriad-Deployment": "blue"}), 422)


def test_the_same_key_gives_the_same_job_whenever_it_is_asked(client, made, tmp_path):
    key = {"Idempotency-Key": "day-2026-11-26"}
    first = client.post(JOBS, json={}, headers=key)
    again = client.post(JOBS, json={}, headers=key)
    assert again.json() == first.json()
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    told = problem(client.post(JOBS, json={"deployment": "green"}, headers=key), 422)
    assert told["errors"][0]["field"] == "header.idempotency-key"
    # Keys of another client are his own.
    other = made.client("score").post(JOBS, json={}, headers=key)
    assert other.json()["id"] != first.json()["id"]
    # Also after the endpoint has changed, and in a gateway that was started again.
    client.put("/v1/batch/rides", json=ENDPOINT | {"default": "green"})
    assert client.post(JOBS, json={}, headers=key).json()["id"] == first.json()["id"]
    with gateway(tmp_path) as restarted:
        restarted.nobody.headers["Authorization"] = client.headers["Authorization"]
        assert restarted.nobody.post(JOBS, json={}, headers=key).json()["id"] == first.json()["id"]


def test_two_hundred_requests_at_once_with_twenty_keys_are_twenty_jobs(client, made):
    def ask(number):
        return client.post(JOBS, json={}, headers={"Idempotency-Key": f"key-{number % 20}"})

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 20
    assert len(client.get(f"{JOBS}?limit=200").json()["jobs"]) == 20
    made.reconciler.step(now())
    made.reconciler.step(now())
    assert len(made.runs.started) == 20


def test_jobs_are_listed_a_page_at_a_time_with_filters(client, made):
    ids = [client.post(JOBS, json={"deployment": name}).json()["id"] for name in ("blue", "green") * 3]
    page = client.get(f"{JOBS}?limit=4").json()
    rest = client.get(page["next"]).json()
    assert [job["id"] for job in (*page["jobs"], *rest["jobs"])] == ids[::-1]
    assert rest["next"] is None
    assert [job["id"] for job in client.get(f"{JOBS}?deployment=green").json()["jobs"]] == ids[1::2][::-1]
    assert client.get(f"{JOBS}?state=running").json()["jobs"] == []
    assert problem(client.get(f"{JOBS}?state=odd"), 422)["errors"][0]["field"] == "query.state"


def test_a_failed_run_is_tried_again_and_then_told(client, made):
    job = client.post(JOBS, json={}).json()
    made.reconciler.step(now())
    made.runs.become("failed", "ScoringError: release 3 is not kept\nTraceback")
    made.reconciler.step(now())
    waiting = client.get(f"{JOBS}/{job['id']}").json()
    assert (waiting["state"], waiting["attempt"]) == ("queued", 1)
    assert waiting["reason"] == "ScoringError: release 3 is not kept"
    made.reconciler.step(now())
    assert len(made.runs.started) == 2
    made.runs.become("failed", "again")
    made.reconciler.step(now())
    failed = client.get(f"{JOBS}/{job['id']}").json()
    assert (failed["state"], failed["reason"]) == ("failed", "again")
    problem(client.get(f"{JOBS}/{job['id']}/output"), 409)


def test_a_run_whose_process_is_gone_is_run_again_though_nobody_says_so(client, made, monkeypatch):
    """As when its worker is killed: Prefect takes it for running for ever."""
    job = client.post(JOBS, json={"deployment": "green"}).json()
    made.reconciler.step(now())
    made.runs.become("running")
    (first,) = made.runs.started
    with heartbeat(made.lake, "rides", job["id"]):
        deadline = time.monotonic() + 60
        while last_heartbeat(made.lake, "rides", job["id"]) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        made.reconciler.step(now() + timedelta(seconds=80))
        assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "running"
        made.reconciler.step(now() + timedelta(seconds=95))
        assert made.runs.now[first].kind == "crashed"
    assert last_heartbeat(made.lake, "rides", job["id"]) is None
    again = client.get(f"{JOBS}/{job['id']}").json()
    assert (again["state"], again["attempt"], again["reason"]) == ("queued", 1, "its process was killed")
    for attempt in (1, 2, 3):
        made.reconciler.step(now())
        assert list(made.runs.started)[-1].endswith(f"-{attempt}")
        made.runs.become("crashed", run=list(made.runs.started)[-1])
        made.reconciler.step(now())
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "failed"


def test_a_run_without_an_account_is_not_taken_for_done(client, made):
    job = client.post(JOBS, json={"overrides": {"retries": 0}}).json()
    made.reconciler.step(now())
    made.runs.become("completed")
    made.reconciler.step(now())
    found = client.get(f"{JOBS}/{job['id']}").json()
    assert (found["state"], found["reason"]) == ("failed", "the run has left no account of what it did")


def test_a_job_whose_account_cannot_be_read_now_is_looked_at_again_and_leaves_others_alone(client, made, monkeypatch):
    """A store that is away for a moment is no run that has left nothing."""
    first, second = (client.post(JOBS, json={"overrides": {"retries": 0}}).json() for _ in range(2))
    made.reconciler.step(now())
    for job in (first, second):
        write_job_result(made.lake, account(job))
    made.runs.become("completed")
    plain = reconciler.read_job_result

    def away(lake, fleet, job):
        if job == first["id"]:
            raise LakeError("s3://raw: cannot be read: connection refused")
        return plain(lake, fleet, job)

    monkeypatch.setattr(reconciler, "read_job_result", away)
    made.reconciler.step(now())
    states = [client.get(f"{JOBS}/{job['id']}").json()["state"] for job in (first, second)]
    assert states == ["queued", "completed"]
    monkeypatch.undo()
    made.reconciler.step(now() + timedelta(seconds=2))
    assert client.get(f"{JOBS}/{first['id']}").json()["state"] == "completed"


def test_an_account_that_is_not_there_is_told_from_one_that_cannot_be_read(made, tmp_path):
    assert read_job_result(made.lake, "rides", "nobody") is None
    (tmp_path / "lake/rides/_jobs/job-1.json").mkdir(parents=True)
    with pytest.raises(LakeError, match="cannot be read"):
        read_job_result(made.lake, "rides", "job-1")


def test_endpoints_that_are_made_at_the_same_moment_are_one(client):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.put("/v1/batch/new", json=ENDPOINT).status_code, range(16)))
    assert set(answers) <= {200, 412}
    assert 200 in answers


def test_a_job_is_cancelled_before_and_in_its_run(client, made):
    early = client.post(JOBS, json={}).json()
    assert client.delete(f"{JOBS}/{early['id']}").status_code == 202
    made.reconciler.step(now())
    assert client.get(f"{JOBS}/{early['id']}").json()["state"] == "cancelled"
    assert made.runs.started == {}
    job = client.post(JOBS, json={}).json()
    made.reconciler.step(now())
    made.runs.become("running")
    assert client.delete(f"{JOBS}/{job['id']}").json()["reason"] == "cancelled by all"
    made.reconciler.step(now())
    assert made.runs.cancelled == list(made.runs.started)
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "cancelling"
    made.runs.become("cancelled")
    made.reconciler.step(now())
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "cancelled"
    assert "it is cancelled already" in problem(client.delete(f"{JOBS}/{job['id']}"), 409)["detail"]


def test_a_job_that_takes_too_long_is_cancelled_and_has_failed(client, made):
    job = client.post(JOBS, json={"overrides": {"timeout_seconds": 60}}).json()
    made.reconciler.step(now())
    made.runs.become("running")
    made.reconciler.step(now() + timedelta(seconds=30))
    assert made.runs.cancelled == []
    made.reconciler.step(now() + timedelta(seconds=61))
    assert len(made.runs.cancelled) == 1
    (run,) = made.runs.now
    state = made.runs.now[run]
    made.runs.now[run] = type(state)("cancelled", "", state.started_at, state.started_at + timedelta(seconds=62))
    made.reconciler.step(now() + timedelta(seconds=63))
    found = client.get(f"{JOBS}/{job['id']}").json()
    assert (found["state"], found["reason"]) == ("failed", "it took longer than 60 seconds")


def test_jobs_wait_while_prefect_is_away(client, made):
    client.post(JOBS, json={})
    made.runs.away = True
    with pytest.raises(Exception, match="connection refused"):
        made.reconciler.step(now())
    assert problem(made.nobody.get("/readyz"), 503)["detail"] == "not ready; the gateway's log has the cause"
    made.runs.away = False
    made.reconciler.step(now())
    assert len(made.runs.started) == 1


def test_what_a_run_said_is_read_in_pieces(client, made):
    job = client.post(JOBS, json={}).json()
    assert client.get(f"{JOBS}/{job['id']}/logs").json() == {"lines": [], "after": 0}
    made.reconciler.step(now())
    first = client.get(f"{JOBS}/{job['id']}/logs?limit=3").json()
    rest = client.get(f"{JOBS}/{job['id']}/logs?after={first['after']}").json()
    assert [line["message"] for line in (*first["lines"], *rest["lines"])] == [f"line {number}" for number in range(5)]


def test_logs_name_folders_and_hosts_to_operators_only(client, made):
    job = client.post(JOBS, json={}).json()
    made.reconciler.step(now())
    message = "/srv/myriad/raw/a.csv: read by tls://10.0.0.7:40123"
    made.runs.logs = lambda *_: [LogLine(datetime(2026, 1, 7, tzinfo=UTC), "info", message)]
    reader = made.client("read", name="reader")
    lines = [reading.get(f"{JOBS}/{job['id']}/logs").json()["lines"][0]["message"] for reading in (client, reader)]
    assert lines == [message, "…/a.csv: read by tls://…"]


@pytest.mark.parametrize(
    ("asked", "field", "told"),
    [
        ({"inputs": ["/etc/passwd"]}, "body.inputs.0", "input is allowed below"),
        ({"inputs": ["file:///etc/passwd"]}, "body.inputs.0", "input is allowed below"),
        ({"inputs": ["http://169.254.169.254/latest/meta-data"]}, "body.inputs.0", "input is allowed below"),
        ({"inputs": ["s3://elsewhere/a.csv"]}, "body.inputs.0", "input is allowed below"),
        ({"inputs": ["{home}/today/../../etc/passwd"]}, "body.inputs.0", "`.` and `..` are not allowed"),
        ({"inputs": ["{home}/today/missing.csv"]}, "body.inputs.0", "no file matches"),
        ({"inputs": ["{home}/today/a.csv", "{home}/today/other.csv"]}, "body.inputs.1", "no column ride, distance"),
        ({"inputs": ["{home}/today/broken.parquet"]}, "body.inputs.0", "cannot be read"),
        ({"inputs": ["{home}/today/notes.doc"]}, "body.inputs.0", "the name does not tell the format"),
        ({"inputs": ["{home}/today/*.csv"]}, "body.inputs.0", "patterns are not allowed"),
        ({"inputs": ["{home}/today2/a.csv"]}, "body.inputs.0", "input is allowed below"),
        ({"inputs": ["{home}/today/a.csv\n"]}, "body.inputs.0", "characters"),
        ({"inputs": ["upload://abc/a.csv"]}, "body.inputs.0", "not the address of an upload"),
        ({"inputs": [""]}, "body.inputs.0", "at least 1 character"),
        ({"deployment": "red"}, "body.deployment", "there is none; deployments: blue, green"),
        ({"overrides": {"cores": 4}}, "body.overrides.cores", "Extra inputs are not permitted"),
        ({"overrides": {"release": 0}}, "body.overrides.release", "greater than or equal to 1"),
        ({"inptus": []}, "body.inptus", "Extra inputs are not permitted"),
    ],
)
def test_a_job_that_cannot_be_done_is_refused_by_its_field(client, made, asked, field, told):
    text = json.dumps(asked).replace("{home}", str(made.app.state.services.home))
    answer = client.post(JOBS, content=text, headers={"Content-Type": "application/json"})
    found = problem(answer, 422)
    assert found["errors"][0]["field"] == field
    assert told in found["detail"]
    assert client.get(JOBS).json()["jobs"] == []


def test_an_upload_of_another_schema_is_told_by_its_own_address(client):
    sent = client.post("/v1/batch/rides/uploads?name=odd.csv", content=b"city,route\nulm,a\n").json()
    found = problem(client.post(JOBS, json={"inputs": [sent["uri"]]}), 422)
    assert found["errors"] == [
        {
            "field": "body.inputs.0",
            "detail": f"{sent['uri']}: no column ride, distance, weather; the file has city, route",
        }
    ]


def test_a_store_that_does_not_answer_is_no_fault_of_a_file(client, made, monkeypatch):
    def away(*_):
        raise SourceError("cannot be listed") from TimeoutError()

    monkeypatch.setattr(adapters.sources.precheck, "list_inputs", away)
    assert client.post(JOBS, json={"inputs": [f"{made.app.state.services.home}/today/none.csv"]}).status_code == 202


def test_inputs_below_an_allowed_place_are_taken(client, made):
    home = made.app.state.services.home
    for place in ("today/a.csv", "extra/deep/b.csv"):
        assert client.post(JOBS, json={"inputs": [f"{home}/{place}"]}).status_code == 202


def test_a_fleet_without_scoring_input_takes_none(client):
    client.put("/v1/batch/plain", json={"deployments": {"only": {"fleet": "plain"}}, "default": "only"})
    told = problem(client.post("/v1/batch/plain/jobs", json={"inputs": ["x.csv"]}), 422)
    assert "takes no scoring input" in told["detail"]
    assert client.post("/v1/batch/plain/jobs", json={}).status_code == 202


@pytest.mark.parametrize(
    ("definition", "status", "told"),
    [
        ({"deployments": {"blue": {"fleet": "nope"}}, "default": "blue"}, 422, "nope"),
        ({"deployments": {"blue": {"fleet": "rides"}}, "default": "red"}, 422, "'red' is no deployment"),
        ({"deployments": {}, "default": "blue"}, 422, "at least 1 item"),
        ({"deployments": {"Blue!": {"fleet": "rides"}}, "default": "Blue!"}, 422, "pattern"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(client, definition, status, told):
    assert told in problem(client.put("/v1/batch/new", json=definition), status)["detail"]
    problem(client.get("/v1/batch/new"), 404)


def test_a_fleet_that_is_not_deployed_is_told_with_the_way_out(client, made):
    made.runs.labels.discard("score/rides")
    told = problem(client.put("/v1/batch/rides", json=ENDPOINT), 409)
    assert "run: myriad deploy rides" in told["detail"]


def test_an_upload_is_kept_once_and_named_by_what_it_holds(client, made):
    content = ROWS.encode()
    first = client.post("/v1/batch/rides/uploads?name=rows.csv", content=content)
    assert first.status_code == 201
    sent = first.json()
    assert sent["bytes"] == len(content)
    assert sent["uri"] == f"upload://{sent['sha256']}/rows.csv"
    kept = made.app.state.services.home / f"lake/rides/_uploads/{sent['sha256']}/rows.csv"
    stamp = kept.stat().st_mtime_ns
    assert kept.read_bytes() == content
    assert client.post("/v1/batch/rides/uploads?name=rows.csv", content=content).json() == sent
    assert kept.stat().st_mtime_ns == stamp, "it would be another file to the ledger"
    job = client.post(JOBS, json={"inputs": [sent["uri"]]}).json()
    made.reconciler.step(now())
    ((_, parameters),) = made.runs.started.values()
    assert parameters["inputs"] == [str(kept)]
    complete(made, job, uri=str(kept))
    assert client.get(f"{JOBS}/{job['id']}").json()["counts"]["inputs"][0]["uri"] == sent["uri"]


@pytest.mark.parametrize("name", ["../../x.csv", "x.exe", ".csv", "a/b.csv", "x.csv\x00", "x" * 110 + ".csv"])
def test_an_upload_with_an_odd_name_is_refused(client, name):
    answer = client.post("/v1/batch/rides/uploads", params={"name": name}, content=b"x")
    assert problem(answer, 422)["errors"][0]["field"] == "query.name"


def test_output_is_loaded_and_a_signed_link_needs_no_key_until_it_expires(client, made):
    job = client.post(JOBS, json={}).json()
    made.reconciler.step(now())
    problem(client.get(f"{JOBS}/{job['id']}/output"), 409)
    problem(client.post(f"{JOBS}/{job['id']}/links"), 409)
    table = made.lake.table("rides", PREDICTIONS)
    schema = PREDICTIONS.file_schema
    columns = {name: pa.nulls(9, schema.field(name).type) for name in schema.names}
    rows = pa.table(columns | {"segment": pa.array(["city=ulm/route=a"] * 9)}, schema=schema)
    table.replace([table.stage(rows, part="input-abc")], lambda file: False)
    complete(made, job)
    answer = client.get(f"{JOBS}/{job['id']}/output")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = answer.text.splitlines()
    assert len(lines) == 10
    assert "city" in lines[0]
    parquet = client.get(f"{JOBS}/{job['id']}/output?format=parquet")
    assert pq.read_table(pa.BufferReader(parquet.content)).num_rows == 9
    link = client.post(f"{JOBS}/{job['id']}/links?expires_in=60").json()
    assert made.nobody.get(link["url"]).text == answer.text
    hostile = pa.array(["city=%3D1+1/route=a"] * 9)
    table.replace([table.stage(rows.set_column(0, "segment", hostile), part="input-abc")], lambda file: True)
    escaped = made.nobody.get(link["url"]).text.splitlines()[1]
    exact = client.post(f"{JOBS}/{job['id']}/links?formulas=exact").json()
    assert made.nobody.get(exact["url"]).text == client.get(f"{JOBS}/{job['id']}/output").text
    assert made.nobody.get(exact["url"]).headers["content-type"] == "text/csv; charset=utf-8"
    assert ('"\'=1+1"' in escaped, '"=1+1"' in made.nobody.get(exact["url"]).text) == (True, True)
    columns = client.post(f"{JOBS}/{job['id']}/links?formulas=exact&format=parquet").json()
    assert pq.read_table(pa.BufferReader(made.nobody.get(columns["url"]).content)).num_rows == 9
    forged = link["url"][:-2] + ("AA" if not link["url"].endswith("AA") else "BB")
    problem(made.nobody.get(forged), 404)
    signer = made.app.state.services.signer
    old = signer.sign(job["id"], "csv", int(now().timestamp()) - 1)
    assert "expired" in problem(made.nobody.get(f"/v1/links/{old}"), 410)["detail"]


def test_output_that_newer_predictions_have_replaced_is_told(client, made):
    job = client.post(JOBS, json={}).json()
    made.reconciler.step(now())
    complete(made, job)
    assert "of its 9 predictions 0 are left" in problem(client.get(f"{JOBS}/{job['id']}/output"), 404)["detail"]


def test_unknown_endpoints_and_jobs_are_told(client):
    problem(client.get("/v1/batch/nope"), 404)
    problem(client.post("/v1/batch/nope/jobs", json={}), 404)
    problem(client.get(f"{JOBS}/job-20260101T000000-00000000"), 404)
    assert problem(client.get(f"{JOBS}/nonsense"), 422)["errors"][0]["field"] == "path.job"
    problem(client.get("/v1/nothing"), 404)
    answer = client.patch("/v1/batch/rides")
    assert "use DELETE, GET, PUT" in problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "DELETE, GET, PUT"


def test_a_body_that_is_no_json_or_of_another_type_is_told(client):
    for body in (b"{", b"\xff\xfe"):
        problem(client.post(JOBS, content=body, headers={"Content-Type": "application/json"}), 422)
    problem(client.post(JOBS, content=b"inputs=x", headers={"Content-Type": "text/plain"}), 422)


@pytest.mark.parametrize("target", ["/proc/self/environ", "secrets/key.csv", "/dev/zero"])
def test_a_link_out_of_the_input_folder_is_refused_and_nothing_behind_it_is_told(client, made, tmp_path, target):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key.csv").write_text("MYRIAD_WEBHOOK_SECRET=whsec_abc,b\n1,2\n")
    link = tmp_path / "today" / "env.csv"
    link.symlink_to(tmp_path / target)
    (tmp_path / "today" / "folder").symlink_to(tmp_path / "secrets")
    for name in ("env.csv", "folder", "folder/key.csv"):
        asked = {"inputs": [str(made.app.state.services.home / "today" / name)]}
        answer = client.post(JOBS, json=asked)
        (reason,) = (error["detail"] for error in problem(answer, 422)["errors"])
        assert "outside the allowed folders" in reason or "file system of the kernel" in reason
        assert not {"MYRIAD_WEBHOOK_SECRET", "whsec", "PATH="} & set(answer.text.replace("=", " ").split())
        assert "key.csv" not in answer.text or name.endswith("key.csv")


def test_a_header_is_told_in_short(client, made, tmp_path):
    (tmp_path / "today" / "wide.csv").write_text("\x1b[31m," + ",".join(f"column{n}" for n in range(1000)) + "\n")
    answer = client.post(JOBS, json={"inputs": [str(made.app.state.services.home / "today" / "wide.csv")]})
    assert len(answer.text) < 1_000
    assert "\\\\x1b[31m" in answer.text
    assert "more" in answer.text


def test_a_job_over_the_limit_of_prefects_parameters_is_refused_with_the_figures(client, made):
    """It was accepted with 202, and failed later."""
    inputs = [f"today/{number:04}-{'x' * 900}.csv" for number in range(1000)]
    problem = is_problem(client.post(JOBS, json={"inputs": [f"{made.folder}/{uri}" for uri in inputs]}), 422)
    assert re.search(r"1,000 inputs make 9\d\d,\d\d\d bytes of parameters, and a run takes 516,096", problem)
    assert client.get(JOBS).json()["jobs"] == []


def test_a_broken_fleet_file_does_not_tell_clients_where_it_lies(made, client, tmp_path):
    (tmp_path / "fleets" / "rides.yaml").write_text("a: [")
    detail = is_problem(client.post("/v1/batch/rides/jobs", json={}), 503)
    assert "reference" in detail
    assert str(tmp_path) not in detail
