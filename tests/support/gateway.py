"""A gateway of a test's own: its real app and database, and runs that do what the test says."""

import json
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
from rides import rides_fleet

from adapters.gateway.api_keys import create_key
from adapters.gateway.store import GatewayStore
from adapters.lake.job_results import write_job_result
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import LogLine, RunState
from domain.data.tables import CHAMPIONS
from domain.errors import OrchestratorError, UnknownNameError
from domain.gateway.job_result import InputResult, JobResult
from domain.gateway.quotas import Quotas
from serving.app import Limits, create_app
from serving.background.job_reconciler import JobReconciler
from serving.background.webhook_dispatcher import WebhookDispatcher
from serving.connections import ConnectionTable
from serving.dependencies import Dependencies, Signer
from serving.outputs import OutputCache
from serving.server import build_server, listen

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SUBSCRIBER = "https://app.example.org/hooks/myriad"
HOSTS = ("app.example.org", "127.0.0.1:9999")


def is_problem(answer, status):
    """Check that an answer is problem details with this status; its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


class Runs:
    """In place of Prefect's: started once a key, with the states that a test gives them."""

    def __init__(self):
        self.started, self.now, self.cancelled, self.away = {}, {}, [], False
        self.events = []
        self.labels = {"score/rides", "score/plain"}

    def known(self, label):
        return label in self.labels

    def start(self, label, parameters, key, name, tags):
        self._answer()
        if label not in self.labels:
            raise UnknownNameError(f"deployment {label} is not there; deploy the fleet: myriad deploy")
        if key not in self.started:
            self.started[key] = (label, dict(parameters))
            self.now[key] = RunState("scheduled", "", None, None)
        return key

    def emit(self, identity, event, fleet, payload):
        self._answer()
        self.events.append((identity, event, fleet, payload))

    def states(self, run_ids):
        self._answer()
        return {run: self.now[run] for run in run_ids if run in self.now}

    def become(self, kind, message="", run=None):
        """All runs, or one, get this state."""
        moment = datetime.now(UTC)
        for each in [run] if run else list(self.now):
            before = self.now[each].started_at
            ended = moment if kind in ("completed", "failed", "crashed", "cancelled") else None
            self.now[each] = RunState(kind, message, before or (moment if kind != "scheduled" else None), ended)

    def progress(self, run_id):
        return "score", 40.0

    def cancel(self, run_id):
        self.cancelled.append(run_id)

    def crash(self, run_id, why):
        self.become("crashed", why, run_id)

    def logs(self, run_id, offset, limit):
        lines = [LogLine(datetime(2026, 1, 7, tzinfo=UTC), "info", f"line {number}") for number in range(5)]
        return lines[offset : offset + limit]

    def alive(self):
        self._answer()

    def _answer(self):
        if self.away:
            raise OrchestratorError("Prefect server at http://nowhere: connection refused")


@contextmanager
def gateway(folder, limits=None, database=None, connections=None, quotas=None):
    """`.client(*scopes)`: an HTTP client with a key. `.reconciler.step(now)` does the rest of the work."""
    (folder / "fleets").mkdir(exist_ok=True)
    for fleet in (rides_fleet(), rides_fleet(name="plain", score=None)):
        content = fleet.model_dump(mode="json", exclude_defaults=True)
        (folder / "fleets" / f"{fleet.name}.yaml").write_text(json.dumps(content))
    store, runs, lake = GatewayStore(database or f"sqlite:///{folder}/gateway.db"), Runs(), Lake(str(folder / "lake"))
    for fleet in ("rides", "plain"):
        lake.table(fleet, CHAMPIONS).create()  # As if they had been trained.
    reconciler = JobReconciler(store, runs, lake, folder, roots=("extra",))
    reconciler.start = reconciler.stop = lambda: None
    sent = []

    def send(*message):
        sent.append(message)
        return made.wrong

    dispatcher = WebhookDispatcher(store, send, (SECRET,), HOSTS)
    dispatcher.start = lambda: None
    signer, cache = Signer(b"secret" * 8), OutputCache(folder / "outputs", 1 << 30)
    services = Dependencies(
        store,
        runs,
        reconciler,
        dispatcher,
        lake,
        folder,
        signer,
        cache,
        ("extra",),
        True,
        HOSTS,
        True,
        outputs=("out",),
        reports=folder / "reports",
        quotas=quotas or Quotas(),
    )
    app = create_app(
        services,
        limits or Limits(per_second=10_000, at_once=10_000, unauthenticated_at_once=10_000, unknown_at_once=10_000),
    )
    names = iter(range(1000))

    def client(*scopes, endpoints=(), name=None):
        text, _ = create_key(store, name or f"client-{next(names)}", scopes, endpoints, None)
        made.clients.append(httpx.Client(base_url=url, headers={"Authorization": f"Bearer {text}"}, timeout=60))
        return made.clients[-1]

    with served(app, connections) as url:
        nobody = httpx.Client(base_url=url, timeout=60)
        made = SimpleNamespace(
            app=app, store=store, runs=runs, lake=lake, reconciler=reconciler, client=client, nobody=nobody
        )
        made.clients, made.url, made.dispatcher, made.sent, made.wrong = [nobody], url, dispatcher, sent, ""
        try:
            yield made
        finally:
            for each in made.clients:
                each.close()
            store.close()


@contextmanager
def served(app, limits=None):
    """The app at a port of this machine, in a thread, by the server that `myriad serve` runs."""
    table = ConnectionTable(limits)
    (listening,) = listen("127.0.0.1", 0, table)
    with listening:
        server = build_server(app, table, log_level="critical")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def account(job, uri="today/a.csv", rows=10):
    """What the run of a job leaves."""
    of_input = InputResult(uri, "abc", rows, rows - 1, 1, rows - 1, {"ok": rows - 1})
    return JobResult(
        job["fleet"],
        job["id"],
        "rides-123",
        3,
        "regression",
        rows - 1,
        2,
        {"ok": rows - 1},
        {"": rows - 1},
        False,
        (of_input,),
    )


def complete(made, job, **changes):
    """As if the job's run had done its work."""
    write_job_result(made.lake, account(job, **changes))
    made.runs.become("completed")
    made.reconciler.step(datetime.now(UTC))


def now(seconds=0):
    return datetime.now(UTC) + timedelta(seconds=seconds)


@contextmanager
def subscribed(folder, *endpoints):
    """A gateway with these endpoints for the rides, and `.operator`, who may subscribe."""
    with gateway(folder) as found:
        found.operator = found.client("operate", "score", name="operator")
        for endpoint in endpoints:
            definition = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
            found.operator.put(f"/v1/batch/{endpoint}", json=definition).raise_for_status()
        yield found


def subscribe(made, name="app", **definition):
    answer = made.operator.put(f"/v1/subscriptions/{name}", json={"url": SUBSCRIBER} | definition)
    assert answer.status_code == 200, answer.text
