"""One odd record stops no other: garbage in each table, and the rest goes on."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from gateway import SUBSCRIBER, complete, gateway, is_problem, now

from adapters.gateway.tables import (
    AUDIT,
    DELIVERIES,
    ENDPOINTS,
    EVENTS,
    FILES,
    HOOKS,
    JOBS,
    KEYS,
    MESSAGES,
    SUBSCRIPTIONS,
)
from adapters.lake.fleet_events import put_event
from domain.errors import LakeError, OrchestratorError, RequestError
from domain.gateway.fleet_events import FleetEvent
from serving.background.failures import MOST_FAILURES, Failures

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
ODD = ["", "null", "[]", "{", "\x00", '{"a": 1}', "9" * 5000, "x" * 100_000, '{"endpoint": "../x"}', "\u2028"]
ODD_TIMES = ["", "0", "2026-99-99", "2026-01-01T00:00:00", "x" * 500]
TIME = "2026-01-01T00:00:00.000000+00:00"


@pytest.fixture
def made(tmp_path):
    with gateway(tmp_path) as gate:
        gate.root = gate.client("admin", name="root")
        gate.root.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        gate.root.put("/v1/triggers/landing", json={"endpoint": "rides", "debounce_seconds": 0}).raise_for_status()
        gate.root.put("/v1/subscriptions/app", json={"url": SUBSCRIBER}).raise_for_status()
        gate.today, gate.news = f"{tmp_path}/today", tmp_path / "lake/rides/_news"
        yield gate


def insert(made, table, *rows):
    with made.store.database.begin() as connection:
        connection.execute(sa.insert(table), list(rows))


def job_row(number, **changes):
    row = {"id": f"job-odd-{number}", "endpoint": "rides", "deployment": "blue", "fleet": "rides", "client": "odd"}
    row |= {"digest": "x", "request": "{}", "settings": "{}", "state": "queued", "reason": "", "attempt": 0}
    row |= {"idempotency_key": None, "flow_run_id": None, "progress": None, "account": None, "cancel": False}
    row |= {"created_at": TIME, "started_at": None, "finished_at": None}
    return row | changes


def garbage(made):
    """Put odd records into every table, before and after those that are in order."""
    definitions = [{"name": f"a-odd-{n}", "definition": text, "updated_at": TIME} for n, text in enumerate(ODD)]
    times = [
        {"name": f"odd-time-{n}", "definition": json.dumps({"url": SUBSCRIBER}), "updated_at": time}
        for n, time in enumerate(ODD_TIMES)
    ]
    insert(made, HOOKS, *definitions, {"name": "no-such", "definition": '{"endpoint": "gone"}', "updated_at": TIME})
    insert(made, SUBSCRIPTIONS, *definitions, *times)
    insert(made, ENDPOINTS, *({**row, "version": 1} for row in definitions))
    fields = ("request", "settings", "progress", "state", "fleet", "flow_run_id", "created_at", "started_at", "account")
    odd = [(field, text) for field in fields for text in ODD]
    insert(made, JOBS, *(job_row(number, **{field: text}) for number, (field, text) in enumerate(odd)))
    insert(made, KEYS, *(odd_key(n, text) for n, text in enumerate(ODD)))
    insert(made, FILES, *(odd_file(f"uri-{n}", uri=text) for n, text in enumerate([*ODD, "s3://" + "x" * 2000])))
    insert(made, FILES, *(odd_file(f"time-{n}", received_at=text) for n, text in enumerate(ODD_TIMES)))
    insert(made, FILES, odd_file("orphan", hook="gone"))
    insert(made, MESSAGES, *({"hook": "gone", "id": f"{n}", "received_at": text} for n, text in enumerate(ODD_TIMES)))
    insert(made, EVENTS, *({"id": f"odd-{n}", "body": text, "created_at": TIME} for n, text in enumerate(ODD)))
    entry = {"at": TIME, "client": "x", "action": "x", "target": "x"}
    insert(made, AUDIT, *({**entry, "detail": text} for text in ODD))
    insert(made, AUDIT, *({**entry, "detail": "{}", "at": text} for text in ODD_TIMES))
    insert(made, DELIVERIES, *odd_deliveries())


def odd_key(number, text):
    row = {"prefix": f"{number:012x}", "client": "odd", "slot": text[:16], "digest": text[:64], "scopes": text}
    return row | {"endpoints": text, "created_at": TIME, "expires_at": None, "revoked_at": None}


def odd_file(key, **changes):
    return {"hook": "landing", "key": key, "uri": "s3://raw/x.csv", "received_at": TIME, "job": None} | changes


def odd_deliveries():
    plain = {"subscription": "app", "state": "waiting", "attempts": 0, "due_at": TIME, "reason": "", "body": "{}"}
    yield from ({**plain, "message": f"body-{n}", "body": text} for n, text in enumerate(ODD))
    yield from ({**plain, "message": f"time-{n}", "due_at": text} for n, text in enumerate(ODD_TIMES))
    yield from ({**plain, "message": f"state-{n}", "state": text[:16]} for n, text in enumerate(ODD))
    yield {**plain, "message": "orphan", "subscription": "gone"}


def test_garbage_in_each_table_stops_nothing(made):
    garbage(made)
    # All kinds of work go on: a message, its job, the end of the job, and its announcement.
    sent = made.root.post("/v1/triggers/landing", json={"uri": f"{made.today}/good.csv"})
    assert sent.json()["waiting"] == 1
    asked = made.root.post("/v1/batch/rides/jobs", json={}).json()
    for second in range(0, 3000, 50):
        made.reconciler.step(now(second))
    jobs = made.root.get("/v1/batch/rides/jobs?limit=200").json()["jobs"]
    (landed,) = [job for job in jobs if f"{made.today}/good.csv" in job["inputs"]]
    assert all(made.store.jobs.get(job["id"]).flow_run_id for job in (landed, asked))
    complete(made, landed)
    while made.dispatcher.step(now()):
        continue
    delivered = made.root.get("/v1/subscriptions/app/messages?state=delivered&limit=200").json()["messages"]
    assert f"{landed['id']}.completed" in [message["id"] for message in delivered]
    # The odd records say why they are not looked after.
    with made.store.database.begin() as connection:
        odd = connection.execute(sa.select(JOBS.c.state, JOBS.c.reason).where(JOBS.c.client == "odd")).all()
        waiting = connection.execute(
            sa.select(FILES.c.key).where(FILES.c.hook == "landing", FILES.c.job.is_(None))
        ).all()
        events = connection.execute(sa.select(EVENTS.c.state, EVENTS.c.reason).where(EVENTS.c.id.like("odd-%"))).all()
    assert all(reason for state, reason in odd if state == "failed")
    assert sum(state == "failed" for state, _ in odd) > 40
    assert waiting == []
    assert {state for state, _ in events} == {"dead"}
    assert all(reason for _, reason in events)
    refused = next(
        entry for entry in made.root.get("/v1/audit?limit=1000").json()["entries"] if entry["action"] == "hook.refused"
    )
    assert any("2,005 characters, and at most 1,024" in reason for reason in refused["detail"]["reasons"])


def test_lists_show_what_is_in_order(made):
    garbage(made)
    assert [endpoint["name"] for endpoint in made.root.get("/v1/batch").json()["endpoints"]] == ["rides"]
    assert [hook["name"] for hook in made.root.get("/v1/triggers").json()["hooks"]] == ["landing", "no-such"]
    names = [item["name"] for item in made.root.get("/v1/subscriptions").json()["subscriptions"]]
    assert "app" in names
    assert not [name for name in names if name.startswith("a-odd")]
    assert made.root.get("/v1/batch/rides/jobs?limit=200").status_code == 200
    assert made.root.get("/v1/subscriptions/app/messages?limit=200").status_code == 200
    assert made.root.get("/v1/audit?limit=1000").status_code == 200
    assert [key.client for key in made.store.keys.all() if key.client == "root"] == ["root"]
    is_problem(made.root.get("/v1/batch/a-odd-3"), 503)
    # An odd record can be replaced and deleted.
    assert made.root.put("/v1/batch/a-odd-3", json=ENDPOINT).status_code == 200
    assert made.root.put("/v1/triggers/a-odd-3", json={"endpoint": "rides"}).status_code == 200
    assert made.root.delete("/v1/triggers/a-odd-4").status_code == 204
    assert made.root.delete("/v1/subscriptions/a-odd-4").status_code == 204
    is_problem(
        made.client("operate", endpoints=("rides",)).put("/v1/triggers/a-odd-5", json={"endpoint": "rides"}), 503
    )


def test_an_odd_event_of_a_fleet_stops_no_other(made):
    earlier = now() + timedelta(seconds=1)
    for name, at in (("a", datetime(2026, 1, 1)), ("b", earlier), ("c" * 300, earlier), ("d", earlier)):
        at = at if at.tzinfo is None else at.astimezone(UTC)
        put_event(made.lake, FleetEvent(name[:200], "release.held", "rides", "run", at, {}))
    (made.news / "garbage.json").write_text("[" * 100_000)
    for second in range(0, 3000, 50):
        made.reconciler.step(now(second))
    messages = made.root.get("/v1/subscriptions/app/messages").json()["messages"]
    assert sorted(message["id"] for message in messages) == ["b", "d"]


def test_a_record_is_given_up_after_some_attempts_and_an_outage_never_is():
    failures, start, given_up = Failures(), now(), []

    def fail(error):
        def action():
            tried.append(error)
            raise error

        return action

    for error in (KeyError("x"), RequestError("no"), LakeError("away")):
        tried = []
        for second in range(3600):
            failures.attempt("record", start + timedelta(seconds=second), fail(error), given_up.append)
            if given_up:
                break
        if isinstance(error, LakeError):
            assert 100 < len(tried) < 140, "every half minute"
            assert given_up == []
        else:
            assert len(tried) == MOST_FAILURES
            assert 500 < second < 1200
            assert len(given_up) == 1
            given_up.clear()
    with pytest.raises(OrchestratorError):
        failures.attempt("another", start, fail(OrchestratorError("away")))
