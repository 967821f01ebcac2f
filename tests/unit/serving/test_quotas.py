"""What a client may leave with the gateway is limited, and kept for a time: jobs, uploads, files of triggers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from gateway import SUBSCRIBER, complete, gateway, is_problem, now

from adapters.gateway.tables import AUDIT, DELIVERIES, FILES, JOBS, UPLOADS
from adapters.lake.uploads import place_of
from domain.gateway.quotas import Quotas

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
JOBS_OF_RIDES = "/v1/batch/rides/jobs"
UPLOADS_OF_RIDES = "/v1/batch/rides/uploads"
ROW = b"ride,city,route,distance,weather\nr1,ulm,a,2.5,dry\n"


@pytest.fixture
def made(tmp_path):
    quotas = Quotas(queued_jobs=3, kept_jobs=5, upload_bytes=250, waiting_files=4)
    with gateway(tmp_path, quotas=quotas) as gate:
        gate.root = gate.client("admin", name="root")
        gate.root.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        gate.folder = tmp_path
        yield gate


def count(made, table):
    with made.store.database.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def test_a_client_has_a_limited_number_of_jobs_in_the_queue_however_many_it_asks_for_at_once(made):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: made.root.post(JOBS_OF_RIDES, json={}), range(30)))
    assert sorted({answer.status_code for answer in answers}) == [202, 429]
    assert count(made, JOBS) == 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "client root has 3 jobs that have not ended, and 3 are allowed (MYRIAD_GATEWAY_QUEUED_JOBS)" in refused.text
    assert refused.headers["retry-after"] == "60"
    other = made.client("score", name="other")
    assert other.post(JOBS_OF_RIDES, json={}).status_code == 202, "it has a place of its own"
    first = made.root.get(JOBS_OF_RIDES).json()["jobs"][-1]
    made.root.delete(first["links"]["self"])
    made.reconciler.step(now())
    assert made.root.post(JOBS_OF_RIDES, json={}).status_code == 202


def test_a_repeated_request_is_answered_whatever_the_quota(made):
    key = {"Idempotency-Key": "one"}
    first = made.root.post(JOBS_OF_RIDES, json={}, headers=key).json()
    for _ in range(2):
        made.root.post(JOBS_OF_RIDES, json={}).raise_for_status()
    again = made.root.post(JOBS_OF_RIDES, json={}, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])


def test_jobs_that_are_asked_for_and_cancelled_again_and_again_are_limited_too(made):
    for _ in range(5):
        job = made.root.post(JOBS_OF_RIDES, json={}).json()
        made.root.delete(job["links"]["self"])
        made.reconciler.step(now())
    problem = is_problem(made.root.post(JOBS_OF_RIDES, json={}), 429)
    assert "5 jobs on record, and 5 are allowed (MYRIAD_GATEWAY_KEPT_JOBS)" in problem
    made.reconciler.step(now(91 * 86_400))
    assert made.root.post(JOBS_OF_RIDES, json={}).status_code == 202


def test_uploads_of_a_client_are_limited_in_bytes(made):
    def upload(client, number):
        content = ROW + f"r{number:04},ulm,a,2.5,dry\n".encode() + b"#" * 25
        return client.post(f"{UPLOADS_OF_RIDES}?name=a.csv", content=content)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: upload(made.root, number), range(12)))
    taken = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} == {201, 403}
    assert len(taken) == count(made, UPLOADS) == 2
    refused = next(answer for answer in answers if answer.status_code == 403).json()["detail"]
    assert "and 250 are allowed (MYRIAD_GATEWAY_UPLOAD_MIB)" in refused
    files = [file for file in (made.folder / "lake/rides/_uploads").rglob("*") if file.is_file()]
    assert len(files) == 2, "what was refused is not stored"
    same = made.root.post(f"{UPLOADS_OF_RIDES}?name=big.csv", content=iter([b"x" * 200, b"y" * 200]))
    is_problem(same, 403)
    assert upload(made.client("score"), 99).status_code == 201


def test_files_of_a_trigger_that_wait_are_limited_and_nothing_of_the_message_is_recorded(made):
    made.root.put("/v1/triggers/landing", json={"endpoint": "rides", "debounce_seconds": 3600}).raise_for_status()
    folder = f"{made.folder}/today"
    send = {"uris": [f"{folder}/{name}.csv" for name in "abc"]}
    assert made.root.post("/v1/triggers/landing", json=send).status_code == 202
    more = {"uris": [f"{folder}/{name}.csv" for name in "de"]}
    assert "5 files would wait for a job, and 4 are allowed" in is_problem(
        made.root.post("/v1/triggers/landing", json=more), 429
    )
    assert len(made.store.triggers.waiting_files("landing")) == 3
    assert made.root.post("/v1/triggers/landing", json=send).status_code == 202, "the same files are no more files"


def test_ended_records_are_deleted_after_their_time_and_others_stay(made):
    made.root.put("/v1/subscriptions/app", json={"url": SUBSCRIBER}).raise_for_status()
    made.root.put("/v1/triggers/landing", json={"endpoint": "rides", "debounce_seconds": 0}).raise_for_status()
    made.root.post("/v1/triggers/landing", json={"uri": f"{made.folder}/today/a.csv"}).raise_for_status()
    ended = made.root.post(JOBS_OF_RIDES, json={}).json()
    made.reconciler.step(now())
    complete(made, ended)
    for job in made.root.get(JOBS_OF_RIDES).json()["jobs"]:
        made.runs.become("running", run=f"{job['id']}-0")
    waiting = made.root.post(JOBS_OF_RIDES, json={}).json()
    while made.dispatcher.step(now()):
        continue
    counts = {table.name: count(made, table) for table in (JOBS, DELIVERIES, AUDIT, FILES)}
    made.reconciler._housekeeping.step(now(89 * 86_400))
    assert {table.name: count(made, table) for table in (JOBS, DELIVERIES, AUDIT, FILES)} == counts
    made.reconciler._housekeeping.step(now(91 * 86_400))
    remaining = {job["id"] for job in made.root.get(JOBS_OF_RIDES).json()["jobs"]}
    assert ended["id"] not in remaining
    assert waiting["id"] in remaining, "it has not ended"
    assert [count(made, table) for table in (DELIVERIES, AUDIT, FILES)] == [0, 0, 0]


def test_uploads_are_deleted_after_their_time_but_for_those_that_a_job_waits_for(made):
    def upload(name):
        return made.root.post(f"{UPLOADS_OF_RIDES}?name={name}.csv", content=ROW).json()["uri"]

    old, needed = upload("old"), upload("needed")
    made.root.post(JOBS_OF_RIDES, json={"inputs": [needed]}).raise_for_status()
    stray = made.folder / "lake/rides/_uploads" / ("0" * 64) / "stray.csv"
    stray.parent.mkdir()
    stray.write_bytes(ROW)  # of an earlier version, which kept no record
    (made.folder / "lake/rides/_uploads/other.txt").write_text("not an upload")
    made.reconciler._housekeeping.step(now(6 * 86_400))
    assert stray.exists()
    made.reconciler._housekeeping.step(now(8 * 86_400))
    assert not stray.exists()
    exists = {uri: (made.folder / place_of(made.lake, "rides", uri)).exists() for uri in (old, needed)}
    assert exists == {old: False, needed: True}
    assert count(made, UPLOADS) == 1
    assert (made.folder / "lake/rides/_uploads/other.txt").exists()
    assert upload("old") == old, "it can be uploaded again"
