"""Incoming webhooks: events of all kinds, in any order and number, become jobs that have each file once."""

import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from gateway import gateway, is_problem
from standardwebhooks import Webhook

from adapters.gateway.tables import FILES, JOBS
from domain.errors import OrchestratorError

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}, "green": {"fleet": "rides"}}, "default": "blue"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def made(tmp_path):
    with gateway(tmp_path) as found:
        found.operator = found.client("operate", "score", name="operator")
        found.operator.put("/v1/batch/rides", json=ENDPOINT)
        found.today = f"{tmp_path}/today"
        yield found


def put_hook(made, name="landing", **changes):
    answer = made.operator.put(f"/v1/triggers/{name}", json={"endpoint": "rides", "debounce_seconds": 10} | changes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def jobs(made, after=60):
    """The jobs of the endpoint, once the files have rested."""
    made.reconciler.step(datetime.now(UTC) + timedelta(seconds=after))
    return made.operator.get("/v1/batch/rides/jobs?limit=200").json()["jobs"]


def test_files_that_land_together_become_one_job(made):
    assert put_hook(made)["url"] == "/v1/triggers/landing"
    for name in ("b", "a", "c"):
        answer = made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/{name}.csv"})
        assert answer.json() == {"files": 1, "waiting": 1, "repeated": False, "outside": []}
    assert jobs(made, after=5) == [], "they have not rested yet"
    (job,) = jobs(made)
    assert job["inputs"] == [f"{made.today}/{name}.csv" for name in ("b", "a", "c")]
    assert (job["client"], job["deployment"], job["state"]) == ("hook landing", "blue", "queued")
    made.reconciler.step(datetime.now(UTC))
    assert len(made.runs.started) == 1
    assert len(jobs(made)) == 1


def test_a_stream_that_never_pauses_is_cut_into_jobs(made):
    put_hook(made)
    made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/a.csv"})
    first = datetime.now(UTC)
    later = first + timedelta(seconds=59)
    row = {"hook": "landing", "key": "x", "uri": f"{made.today}/b.csv", "received_at": later.isoformat()}
    with made.store.database.begin() as connection:
        connection.execute(FILES.insert().values(**row))
    made.reconciler.step(first + timedelta(seconds=59))
    assert made.operator.get("/v1/batch/rides/jobs").json()["jobs"] == []
    made.reconciler.step(first + timedelta(seconds=61))
    (job,) = made.operator.get("/v1/batch/rides/jobs").json()["jobs"]
    assert len(job["inputs"]) == 2


def test_a_thousand_events_for_a_hundred_files_are_a_hundred_inputs(made):
    """In random order, with repeats, from many senders at once, while the reconciler makes jobs of them."""
    put_hook(made, debounce_seconds=0)
    events = [
        {"specversion": "1.0", "id": f"{number % 400}", "source": "s", "type": "created"}
        | {"data": {"uri": f"{made.today}/{number % 100}.csv", "etag": f"e{number % 100}"}}
        for number in range(1000)
    ]
    random.Random(7).shuffle(events)
    over = threading.Event()

    def gather():
        while not over.is_set():
            made.reconciler.step(datetime.now(UTC))

    reconciler = threading.Thread(target=gather)
    reconciler.start()
    headers = {"Content-Type": "application/cloudevents+json"}
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda event: made.operator.post("/v1/triggers/landing", json=event, headers=headers), events)
        )
    over.set()
    reconciler.join()
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["repeated"] for answer in answers) == 400
    inputs = [uri for job in jobs(made) for uri in job["inputs"]]
    assert sorted(inputs) == sorted(f"{made.today}/{number}.csv" for number in range(100))


def test_a_newer_version_of_a_file_is_another_input_and_the_same_one_is_not(made):
    put_hook(made)
    send = {"uri": f"{made.today}/a.csv", "etag": "e1"}
    assert made.operator.post("/v1/triggers/landing", json=send).json()["waiting"] == 1
    assert len(jobs(made)) == 1
    assert made.operator.post("/v1/triggers/landing", json=send).json()["waiting"] == 0
    assert len(jobs(made)) == 1
    assert made.operator.post("/v1/triggers/landing", json=send | {"etag": "e2"}).json()["waiting"] == 1
    assert len(jobs(made)) == 2
    # Nobody knows whether a file without a version has changed: the ledger of inputs tells.
    for count in (3, 4):
        made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/b.csv"})
        assert len(jobs(made)) == count


def test_cloud_events_are_taken_in_all_three_modes(made):
    put_hook(made)
    data = {"uri": f"{made.today}/binary.csv"}
    binary = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "created"}
    assert made.operator.post("/v1/triggers/landing", json=data, headers=binary).json()["waiting"] == 1
    assert made.operator.post("/v1/triggers/landing", json=data, headers=binary).json()["repeated"]
    event = {"specversion": "1.0", "id": "2", "source": "s", "type": "created"}
    structured = event | {"data": {"uri": f"{made.today}/structured.csv"}}
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    assert made.operator.post("/v1/triggers/landing", json=structured, headers=kind).json()["waiting"] == 1
    batch = [event | {"id": name, "data": {"uri": f"{made.today}/{name}.csv"}} for name in ("x", "y")]
    kind = {"Content-Type": "application/cloudevents-batch+json"}
    assert made.operator.post("/v1/triggers/landing", json=batch, headers=kind).json()["waiting"] == 2
    (job,) = jobs(made)
    assert len(job["inputs"]) == 4


def test_hidden_unfinished_unwanted_and_forbidden_files_are_left_out(made):
    put_hook(made, include=["*.csv"])
    names = ["a.csv", "b.json", "_c.csv", "d.csv.tmp", "folder/"]
    uris = [f"{made.today}/{name}" for name in names] + ["/etc/x.csv", f"{made.today}/../y.csv"]
    found = made.operator.post("/v1/triggers/landing", json={"uris": uris}).json()
    assert (found["files"], found["waiting"]) == (1, 1)
    assert [reason.partition(":")[0] for reason in found["outside"]] == ["/etc/x.csv", f"{made.today}/../y.csv"]
    (job,) = jobs(made)
    assert job["inputs"] == [f"{made.today}/a.csv"]


def signed(body, identity="msg_1", moment=None, secret=SECRET):
    moment = moment or datetime.now(UTC)
    signature = Webhook(secret).sign(identity, moment, body)
    stamp = str(int(moment.timestamp()))
    headers = {"webhook-id": identity, "webhook-timestamp": stamp, "webhook-signature": signature}
    return headers | {"Content-Type": "application/json"}


def test_a_signed_message_needs_no_key_and_counts_once(made, monkeypatch):
    answer = made.operator.put("/v1/triggers/signed", json={"endpoint": "rides", "verification": "signature"})
    assert "set MYRIAD_HOOK_SECRET_SIGNED for the gateway first" in is_problem(answer, 422)
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", SECRET)
    put_hook(made, "signed", verification="signature")
    body = json.dumps({"uri": f"{made.today}/a.csv"})
    first = made.nobody.post("/v1/triggers/signed", content=body, headers=signed(body))
    assert first.json() == {"files": 1, "waiting": 1, "repeated": False, "outside": []}
    again = made.nobody.post("/v1/triggers/signed", content=body, headers=signed(body))
    assert again.json() == {"files": 1, "waiting": 0, "repeated": True, "outside": []}
    assert len(jobs(made)) == 1


def test_two_triggers_do_not_share_a_secret_by_their_names(made, monkeypatch):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_A_B", SECRET)
    put_hook(made, "a-b", verification="signature")
    put_hook(made, "a-b", verification="signature")
    answer = made.operator.put("/v1/triggers/a.b", json={"endpoint": "rides", "verification": "signature"})
    assert "MYRIAD_HOOK_SECRET_A_B is the secret of another trigger" in is_problem(answer, 422)
    put_hook(made, "a.b")


def test_strangers_are_not_told_which_variable_is_missing(made, monkeypatch):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", SECRET)
    put_hook(made, "signed", verification="signature")
    monkeypatch.delenv("MYRIAD_HOOK_SECRET_SIGNED")
    body = json.dumps({"uri": f"{made.today}/a.csv"})
    assert "SECRET" not in is_problem(made.nobody.post("/v1/triggers/signed", content=body, headers=signed(body)), 503)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"webhook-signature": "v1,AAAA"}, "No matching signature"),
        ({"webhook-signature": "nonsense"}, "the signature does not hold"),
        ({"webhook-id": "msg_2"}, "No matching signature"),
        ({"webhook-timestamp": "0"}, "too old"),
        ({"webhook-timestamp": "99999999999"}, "too new"),
        ({"webhook-timestamp": "soon"}, "Invalid"),
        ({"webhook-signature": ""}, "Missing required headers"),
    ],
)
def test_a_message_whose_signature_does_not_hold_is_refused(made, monkeypatch, change, told):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", SECRET)
    put_hook(made, "signed", verification="signature")
    body = json.dumps({"uri": f"{made.today}/a.csv"})
    answer = made.nobody.post("/v1/triggers/signed", content=body, headers=signed(body) | change)
    assert told in is_problem(answer, 401)
    changed = body.replace("a.csv", "b.csv")
    assert "No matching signature" in is_problem(
        made.nobody.post("/v1/triggers/signed", content=changed, headers=signed(body)), 401
    )
    assert jobs(made) == []


def test_an_old_message_is_refused_though_its_signature_holds(made, monkeypatch):
    monkeypatch.setenv("MYRIAD_HOOK_SECRET_SIGNED", SECRET)
    put_hook(made, "signed", verification="signature")
    body = json.dumps({"uri": f"{made.today}/a.csv"})
    old = signed(body, moment=datetime.now(UTC) - timedelta(minutes=6))
    assert "too old" in is_problem(made.nobody.post("/v1/triggers/signed", content=body, headers=old), 401)


def test_bad_messages_are_told(made):
    put_hook(made)
    post = made.operator.post
    assert "no JSON" in is_problem(
        post("/v1/triggers/landing", content=b"{", headers={"Content-Type": "application/json"}), 422
    )
    text = {"Content-Type": "text/csv"}
    assert "content-type: text/csv is not accepted" in is_problem(
        post("/v1/triggers/landing", content=b"", headers=text), 415
    )
    assert "no format that is known" in is_problem(post("/v1/triggers/landing", json={"a": 1}), 422)
    event = {"Content-Type": "application/cloudevents+json"}
    assert "not a CloudEvent" in is_problem(
        post("/v1/triggers/landing", json={"specversion": "1.0"}, headers=event), 422
    )
    assert "there is none" in is_problem(post("/v1/triggers/nope", json={"uri": "x"}), 404)
    is_problem(made.nobody.post("/v1/triggers/nope", json={"uri": "x"}), 401)
    is_problem(made.nobody.post("/v1/triggers/landing", json={"uri": "x"}), 401)
    is_problem(made.client("read").post("/v1/triggers/landing", json={"uri": "x"}), 403)
    assert "it is not for endpoint rides" in is_problem(
        made.client("score", endpoints=("other",)).post("/v1/triggers/landing", json={"uri": "x"}), 403
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"endpoint": "nope"}, "there is no such endpoint"),
        ({"deployment": "red"}, "there is none; deployments: blue, green"),
        ({"debounce_seconds": -1}, "greater than or equal to 0"),
        ({"verification": "none"}, "'key' or 'signature'"),
        ({"sort": 1}, "Extra inputs"),
    ],
)
def test_a_hook_that_cannot_work_is_refused(made, change, told):
    answer = made.operator.put("/v1/triggers/landing", json={"endpoint": "rides"} | change)
    assert told in is_problem(answer, 422)


def test_hooks_are_listed_for_those_who_may_use_them(made):
    put_hook(made, include=["*.csv"])
    (found,) = made.client("read").get("/v1/triggers").json()["hooks"]
    assert (found["name"], found["include"], found["url"]) == ("landing", ["*.csv"], "/v1/triggers/landing")
    assert made.client("read", endpoints=("other",)).get("/v1/triggers").json()["hooks"] == []


def test_files_whose_event_was_lost_are_found_and_scored_once(made, tmp_path):
    put_hook(made, include=["*.csv"], sweep_seconds=60)
    (tmp_path / "today").mkdir()
    old = (datetime.now(UTC) - timedelta(minutes=5)).timestamp()
    for name in ("lost.csv", "noted.csv", "_hidden.csv", "other.json", "young.csv"):
        (tmp_path / "today" / name).write_text("ride\n1\n")
        if name != "young.csv":
            os.utime(tmp_path / "today" / name, (old, old))
    made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/noted.csv"})
    (job,) = jobs(made, after=0) or jobs(made, after=12)
    assert sorted(job["inputs"]) == [f"{made.today}/lost.csv", f"{made.today}/noted.csv"]
    # The next sweep finds the young one, and no other one finds anything twice.
    found = jobs(made, after=90)
    assert next(job["inputs"] for job in found) == [f"{made.today}/young.csv"]
    assert len(jobs(made, after=200)) == len(jobs(made, after=400)) == len(found) == 2


def test_a_hook_may_make_events_for_automations_in_place_of_jobs(made):
    put_hook(made, delivery="event")
    for name in ("a", "b", "a"):
        made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/{name}.csv"})
    made.runs.away = True
    with pytest.raises(OrchestratorError):
        made.reconciler.step(datetime.now(UTC) + timedelta(seconds=60))
    made.runs.away = False
    assert jobs(made) == [], "no job, and the event is on record while Prefect is away"
    ((identity, event, fleet, payload),) = made.runs.events
    assert (event, fleet) == ("myriad.files.landed", "rides")
    assert payload["inputs"] == [f"{made.today}/{name}.csv" for name in ("b", "a")]
    assert payload["run_id"] == f"event-{UUID(identity).hex}"
    jobs(made)
    assert len(made.runs.events) == 1


def test_an_event_that_may_have_been_sent_is_sent_again_with_the_same_id(made):
    put_hook(made, delivery="event")
    made.operator.post("/v1/triggers/landing", json={"uri": f"{made.today}/a.csv"})
    sent, made.store.events.mark_sent = made.store.events.mark_sent, killed
    with pytest.raises(Killed):
        made.reconciler.step(datetime.now(UTC) + timedelta(seconds=60))
    made.store.events.mark_sent = sent
    jobs(made)
    first, second = made.runs.events
    assert first == second


class Killed(BaseException):
    """The end of the process: nothing catches it."""


def killed(*_):
    raise Killed


def test_the_former_address_of_triggers_works_and_is_not_in_the_document(made):
    put_hook(made)
    sent = made.operator.post("/v1/hooks/landing", json={"uri": f"{made.today}/a.csv"})
    assert (sent.status_code, sent.json()["waiting"]) == (202, 1)
    assert made.operator.get("/v1/hooks").json() == made.operator.get("/v1/triggers").json()
    paths = made.operator.get("/openapi.json").json()["paths"]
    assert "/v1/triggers/{hook}" in paths
    assert not [path for path in paths if "hooks" in path]


ODD_MESSAGES = {
    "too long": ({"uri": "today/" + "x" * 1024 + ".csv"}, "1,034 characters, and at most 1,024"),
    "NUL": ({"uri": "today/a\x00.csv"}, "control character U+0000"),
    "NUL in form": (
        {
            "Records": [
                {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "a%00.csv"}}}
            ]
        },
        "control character U+0000",
    ),
    "line break": ({"uri": "today/a\n.csv"}, "control character U+000A"),
    "half character": ({"uri": "today/\ud800.csv"}, ""),
    "half character in a key": ({"\ud800": 1}, ""),
    "long version": ({"uri": "today/a.csv", "version": "v" * 2000}, "at most 1,024"),
    "number for an address": ({"uris": [1]}, "uris.0: 1 is not a text"),
    "number for a key": (
        {"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": 3}}},
        "3",
    ),
    "list for a bucket": (
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": [], "object": []}}]},
        "lacks",
    ),
    "number for a folder": (
        {"key": "x", "message": {"new_parent_path": 3, "new_entry": {"name": "x"}}},
        "3 is not a text",
    ),
    "too many": ({"uris": [f"today/{n}.csv" for n in range(10_001)]}, "10,001 files in one message; at most 10,000"),
}


@pytest.mark.parametrize("case", ODD_MESSAGES)
def test_a_file_that_cannot_be_recorded_is_refused_at_the_door(made, case):
    """It was accepted with 202, and stopped the trigger for good."""
    document, message = ODD_MESSAGES[case]
    put_hook(made, debounce_seconds=0)
    sent = made.operator.post("/v1/triggers/landing", content=json.dumps(document), headers=JSON)
    assert message in is_problem(sent, 422)
    assert made.store.triggers.waiting_files("landing") == []


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff", b'{"uri": "\xed\xa0\x80.csv"}', b"1" * 6000])
def test_a_body_that_is_no_json_is_refused(made, body):
    put_hook(made)
    is_problem(made.operator.post("/v1/triggers/landing", content=body, headers=JSON), 422)
    structured = {"Content-Type": "application/cloudevents+json"}
    is_problem(made.operator.post("/v1/triggers/landing", content=body, headers=structured), 422)


def test_a_message_with_an_odd_document_records_none_of_the_others(made):
    put_hook(made)
    event = {"specversion": "1.0", "source": "s", "type": "created"}
    batch = [event | {"id": "1", "data": {"uri": f"{made.today}/a.csv"}}, event | {"id": "2", "data": {"uri": "\x00"}}]
    kind = {"Content-Type": "application/cloudevents-batch+json"}
    is_problem(made.operator.post("/v1/triggers/landing", json=batch, headers=kind), 422)
    assert made.store.triggers.waiting_files("landing") == []
    long_id = event | {"id": "i" * 5000, "data": {"uri": f"{made.today}/a.csv"}}
    structured = {"Content-Type": "application/cloudevents+json"}
    is_problem(made.operator.post("/v1/triggers/landing", json=long_id, headers=structured), 422)


def test_files_with_long_addresses_become_jobs_that_prefect_accepts(made):
    """1,000 addresses of 1,000 characters are twice the bytes that Prefect takes as parameters."""
    put_hook(made, debounce_seconds=0)
    for part in range(2):
        uris = [f"{made.today}/{part}-{n:03}-{'x' * 850}.csv" for n in range(500)]
        made.operator.post("/v1/triggers/landing", json={"uris": uris}).raise_for_status()
    assert [len(job["inputs"]) > 400 for job in jobs(made)] == [False, True, True]
    made.reconciler.step(datetime.now(UTC))
    sizes = [len(json.dumps(parameters)) for _, parameters in made.runs.started.values()]
    assert len(sizes) == 3
    assert max(sizes) < 516_096


def test_names_of_any_length_fit_into_the_columns_that_keep_them(made, monkeypatch):
    name = "h" * 64
    monkeypatch.setenv(f"MYRIAD_HOOK_SECRET_{name.upper()}", SECRET)
    put_hook(made, name, verification="signature")
    body = json.dumps({"uri": f"{made.today}/a.csv"})
    answer = made.nobody.post(f"/v1/triggers/{name}", content=body, headers=signed(body))
    assert answer.status_code == 202, answer.text
    (job,) = jobs(made)
    clients = {entry["client"] for entry in made.store.audit.newest(100)} | {job["client"]}
    assert all(len(client) <= JOBS.c.client.type.length for client in clients), "PostgreSQL refuses longer ones"


def test_a_notification_in_an_envelope_of_sns_is_taken_as_plain_text(made):
    put_hook(made)
    envelope = {"Type": "Notification", "TopicArn": "x", "Message": json.dumps({"uri": f"{made.today}/a.csv"})}
    headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
    answer = made.operator.post("/v1/triggers/landing", content=json.dumps(envelope), headers=headers)
    assert (answer.status_code, answer.json()["files"]) == (202, 1)
    test = made.operator.post("/v1/triggers/landing", json={"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert (test.status_code, test.json()["files"]) == (202, 0)
