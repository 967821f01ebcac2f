"""The local stack as its user starts it: a real server and worker, deployments, runs by command, the UI."""

import importlib
import json
import os
import pkgutil
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from browser import Browser
from deltalake import DeltaTable
from prefect import Flow
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from shop import shop
from standardwebhooks import Webhook

import flows
from adapters.compute.tls import make_certificates
from adapters.orchestration.local_server import LocalServerManager, healthy, join_server
from adapters.settings import Settings
from domain.errors import OrchestratorError
from flows.automations import triggers_of
from flows.deployments import deployments_of
from flows.local_server import deploy_fleets
from flows.schedules import kept

ROOT = Path(__file__).parents[3]
ABOUT_A_DEPLOYMENT = (
    *("name", "description", "tags", "parameters", "entrypoint", "version", "paused", "path", "pull_steps"),
    *("parameter_openapi_schema", "enforce_parameter_schema", "concurrency_options", "work_pool_name", "job_variables"),
)
ABOUT_A_SCHEDULE = ("slug", "active", "schedule", "parameters", "max_scheduled_runs")


WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def environment(**more):
    """Ours without what tests and users set, quiet in any case."""
    prefixes = ("MYRIAD_", "PREFECT_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | more


def myriad(home, *arguments, **more):
    """The command in a folder, as its user runs it."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(command, cwd=home, env=environment(**more), capture_output=True, text=True, timeout=240)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


LISTENING = free_port()
"""Where subscribers of these tests listen."""


class Stack:
    """A home with its fleets, and the API of its server."""

    def __init__(self, home, port):
        self.home, self.port = home, port
        self.api = f"http://127.0.0.1:{port}/api"
        self.auth_string = (home / "var/run/prefect-auth").read_text()

    def prefect(self, *arguments):
        command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
        clean = environment(
            PREFECT_API_URL=self.api,
            PREFECT_API_AUTH_STRING=self.auth_string,
            PREFECT_HOME=str(self.home / "var/prefect"),
            DO_NOT_TRACK="1",
        )
        return subprocess.run(command, cwd=self.home, env=clean, capture_output=True, text=True, timeout=240)

    def ask(self, method, path, **body):
        """Again where SQLite is busy, as Prefect's own client does."""
        for _ in range(20):
            answer = httpx.request(
                method, f"{self.api}/{path}", json=body, timeout=60, auth=tuple(self.auth_string.split(":"))
            )
            if answer.status_code != 503:
                break
            time.sleep(0.5)
        return answer

    def post(self, path, **body):
        return self.ask("POST", path, **body)

    def deployment(self, label):
        return self.ask("GET", f"deployments/name/{label}").json()

    def deployments(self):
        """Entrypoint and name -> what people decide about a deployment."""
        found = self.post("deployments/filter", limit=200).json()
        return {(one["entrypoint"], one["name"]): decided(one) for one in found}

    def automations(self, fleet):
        """Name -> what people decide about an automation; ids of deployments and moments left out."""
        found = self.post("automations/filter", limit=200).json()
        return {
            one["name"]: {"enabled": one["enabled"], "trigger": without_ids(one["trigger"])}
            | {"parameters": [action["parameters"] for action in one["actions"]]}
            for one in found
            if one["name"].startswith(f"{fleet}: ")
        }

    def runs(self, label):
        """Runs of a deployment by id."""
        chosen = {"id": {"any_": [self.deployment(label)["id"]]}}
        return {run["id"]: run for run in self.post("flow_runs/filter", deployments=chosen).json()}

    def begun(self, label, but=(), limit_s=60):
        """Id of a run of a deployment, but for these."""
        end = time.monotonic() + limit_s
        while not (found := set(self.runs(label)).difference(but)):
            assert time.monotonic() < end, label
            time.sleep(0.05)
        return min(found)

    def completed(self, label, but=(), limit_s=60):
        """The first such run, once it is completed."""
        run, end = self.begun(label, but, limit_s), time.monotonic() + limit_s
        while (found := self.runs(label)[run])["state_type"] != "COMPLETED":
            assert found["state_type"] in ("SCHEDULED", "PENDING", "RUNNING"), found["state"]
            assert time.monotonic() < end, found["state"]
            time.sleep(0.2)
        return found

    def quiet(self, limit_s=120):
        """Wait until nothing is in progress: automations may have started more runs than a test waited for."""
        busy = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]}}}
        soon = {"expected_start_time": {"before_": (datetime.now(UTC) + timedelta(seconds=60)).isoformat()}}
        end = time.monotonic() + limit_s
        while runs := self.post("flow_runs/filter", flow_runs=busy | soon).json():
            assert time.monotonic() < end, [(run["name"], run["state"]["type"]) for run in runs]
            time.sleep(0.2)

    def record(self):
        return json.loads((self.home / "var/run/stack.json").read_text())


def without_ids(trigger):
    """Prefect keeps sets of events and labels, in any order."""
    kept = {name: value for name, value in trigger.items() if name != "id"}
    return {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in kept.items()}


def decided(deployment):
    schedules = [{name: one[name] for name in ABOUT_A_SCHEDULE} for one in deployment["schedules"]]
    limit = deployment["global_concurrency_limit"]
    return {name: deployment[name] for name in ABOUT_A_DEPLOYMENT} | {
        "schedules": schedules,
        "limit": limit and limit["limit"],
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory, _trained_shop):
    """A home with the shop's first release, and the fleet file of an example."""
    folder = tmp_path_factory.mktemp("home")
    saved = _trained_shop.with_name("saved")
    shutil.copytree(saved / "lake", folder / "var/lake")
    for name in ("sales", "future"):
        shutil.copytree(saved / name, folder / name)
    (folder / "fleets").mkdir()
    (folder / "fleets/shop.yaml").write_text(yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True)))
    shutil.copy(ROOT / "fleets/m3.yaml", folder / "fleets")
    shutil.copy(ROOT / "prefect.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def stack(home):
    (home / "fleets/broken.yaml").write_text("name: broken\n")
    port = free_port()
    try:
        up = myriad(home, "up", "--port", port)
        assert up.returncode == 0, up.stdout + up.stderr
        assert "not deployed: fleets/broken.yaml" in up.stdout
        assert f"http://127.0.0.1:{port}/deployments" in up.stdout
        stack = Stack(home, port)
        with temporary_settings({PREFECT_API_AUTH_STRING: stack.auth_string}):
            yield stack
    finally:
        myriad(home, "down")


def test_every_flow_is_deployed_once():
    modules = [importlib.import_module(f"flows.{found.name}") for found in pkgutil.iter_modules(flows.__path__)]
    defined = {value.name for module in modules for value in vars(module).values() if isinstance(value, Flow)}
    assert sorted(one.flow.name for one in deployments_of("shop", "shop")) == sorted(defined)


def test_schedules_are_paused_and_parameters_have_a_form(stack):
    found = {key: value for key, value in stack.deployments().items() if key[1] == "shop"}
    assert len(found) == len(deployments_of("shop", "shop"))
    for deployment in found.values():
        assert [schedule["active"] for schedule in deployment["schedules"]] in ([], [False])
        assert all(schedule["schedule"]["timezone"] == "UTC" for schedule in deployment["schedules"])
        assert deployment["parameters"] == {"fleet": "shop"}
        assert deployment["enforce_parameter_schema"]
        assert deployment["description"]
        for name, field in deployment["parameter_openapi_schema"]["properties"].items():
            assert field["title"] != name, f"{deployment['entrypoint']}: {name}: no title of ours"
            assert field["description"]
    assert found["flows.train.train", "shop"]["limit"] == 1
    assert found["flows.train.train", "shop"]["schedules"][0]["slug"] == "nightly"


def test_prefect_yaml_gives_the_same_deployments(stack):
    by_command = {key: value for key, value in stack.deployments().items() if key[1] == "m3"}
    automations = stack.automations("m3")
    assert sorted(automations) == sorted(one["name"] for found in triggers_of("m3").values() for one in found)
    for one in stack.post("deployments/filter", limit=200).json():
        if one["name"] == "m3":
            stack.ask("DELETE", f"deployments/{one['id']}").raise_for_status()
    done = stack.prefect("deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    by_yaml = {key: value for key, value in stack.deployments().items() if key[1] == "m3"}
    assert by_yaml == by_command
    assert len(by_yaml) == len(deployments_of("m3", "m3"))
    assert stack.automations("m3") == automations


def test_deploying_by_yaml_again_keeps_what_people_decided_about_schedules(stack):
    before = stack.deployment("train/m3")
    [schedule] = before["schedules"]
    change = {"active": True, "schedule": {"cron": "1 2 3 4 *", "timezone": "Europe/Berlin"}}
    stack.ask("PATCH", f"deployments/{before['id']}/schedules/{schedule['id']}", **change).raise_for_status()
    done = stack.prefect("deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    [after] = stack.deployment("train/m3")["schedules"]
    assert (after["active"], after["slug"]) == (True, "nightly")
    assert (after["schedule"]["cron"], after["schedule"]["timezone"]) == ("1 2 3 4 *", "Europe/Berlin")
    change = {"active": False, "schedule": {"interval": 3600}}
    stack.ask("PATCH", f"deployments/{before['id']}/schedules/{after['id']}", **change).raise_for_status()
    told = "schedule nightly of train/m3 is no cron any more"
    with temporary_settings({PREFECT_API_URL: stack.api}), pytest.raises(OrchestratorError, match=told):
        kept("m3")


def test_deploying_again_keeps_what_people_decided_about_schedules(stack):
    before = stack.deployment("train/shop")
    [schedule] = before["schedules"]
    change = {"active": True, "schedule": {"cron": "1 2 3 4 *", "timezone": "Europe/Berlin"}}
    stack.ask("PATCH", f"deployments/{before['id']}/schedules/{schedule['id']}", **change).raise_for_status()
    labels = deploy_fleets(stack.api, {"shop": "shop"})
    assert "train/shop" in labels
    [after] = stack.deployment("train/shop")["schedules"]
    assert (after["active"], after["schedule"]["cron"]) == (True, "1 2 3 4 *")
    assert stack.deployment("train/shop")["id"] == before["id"]


def test_deploying_again_keeps_what_people_decided_about_automations(stack):
    found = {one["name"]: one for one in stack.post("automations/filter", limit=200).json()}
    late = found["shop: not begun, alert"]
    stack.ask("PATCH", f"automations/{late['id']}", enabled=False).raise_for_status()
    deploy_fleets(stack.api, {"shop": "shop"})
    again = stack.automations("shop")
    assert len(again) == sum(map(len, triggers_of("shop").values()))
    assert not again["shop: not begun, alert"]["enabled"]


def test_a_run_from_the_command_line_scores_the_fleet(stack):
    done = stack.prefect("deployment", "run", "score/shop", "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    frame = DeltaTable(stack.home / "var/lake/shop/predictions").to_pandas()
    assert len(frame) == 40
    assert frame.release.unique().tolist() == [1]
    said = [line["message"] for line in stack.post("logs/filter", limit=200).json()]
    assert "score: 3 of 3" in said, said


@pytest.mark.parametrize(
    ("flow", "given", "told"),
    [
        ("score", "release=0", "0 is less than the minimum of 1"),
        ("rollback", "to=newest", "'newest' is not of type 'integer'"),
        ("train", "fleet= shop", "' shop' does not match"),
    ],
)
def test_an_invalid_parameter_is_refused(stack, flow, given, told):
    name, value = given.split("=")
    typed = int(value) if value.isdigit() else value
    identity = stack.deployment(f"{flow}/shop")["id"]
    answer = stack.post(f"deployments/{identity}/create_flow_run", parameters={"fleet": "shop", name: typed})
    assert answer.status_code in (409, 422)
    assert name in answer.json()["detail"]
    assert told in answer.json()["detail"] or "is not valid under any" in answer.json()["detail"]
    if flow == "score":
        refused = stack.prefect("deployment", "run", "score/shop", "-p", given)
        assert refused.returncode == 1
        assert told in " ".join((refused.stdout + refused.stderr).split())


def test_a_second_up_starts_nothing(stack):
    before = stack.record()
    again = myriad(stack.home, "up")
    assert again.returncode == 0, again.stderr
    assert f"http://127.0.0.1:{stack.port}" in again.stdout
    assert again.stdout.startswith("runs already\n")
    assert stack.record() == before
    elsewhere = myriad(stack.home, "up", "--port", free_port())
    assert elsewhere.returncode == 1
    assert f"Prefect runs at port {stack.port} already; first stop it: myriad down" in elsewhere.stderr


def test_runs_of_the_command_join_a_running_server_only(stack, tmp_path, monkeypatch):
    for name in (
        "PREFECT_API_URL",
        "PREFECT_API_AUTH_STRING",
        "PREFECT_LOGGING_LEVEL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL",
    ):
        monkeypatch.setenv(name, "")  # Put back after the test, whatever is set below.
        monkeypatch.delenv(name)
    join_server(Settings(home=tmp_path))
    assert "PREFECT_API_URL" not in os.environ
    join_server(Settings(home=stack.home))
    assert os.environ["PREFECT_API_URL"] == stack.api
    assert os.environ["PREFECT_API_AUTH_STRING"] == stack.auth_string
    refused = myriad(stack.home, "rollback", "shop", "--to", 1, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert refused.returncode == 2
    assert "no Prefect server answers at http://127.0.0.1:9/api" in refused.stderr


class Gateway:
    """`myriad serve` beside the stack, as a process that can be killed and started again at the same port."""

    def __init__(self, home):
        self.home, self.port, self.process = home, free_port(), None
        self.start()
        created = myriad(home, "keys", "create", "shop-client", "--scope", "score", "--scope", "operate", "--json")
        assert created.returncode == 0, created.stderr
        key = json.loads(created.stdout)["key"]
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {key}"}, timeout=60
        )

    def start(self):
        command = [sys.executable, "-m", "cli", "serve", "--port", str(self.port)]
        with (self.home / "gateway.log").open("ab") as log:
            ours = environment(MYRIAD_WEBHOOK_SECRET=WEBHOOK_SECRET, MYRIAD_WEBHOOK_HOSTS=f"127.0.0.1:{LISTENING}")
            self.process = subprocess.Popen(command, cwd=self.home, env=ours, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, (self.home / "gateway.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def settled(self, job, limit=120):
        end = time.monotonic() + limit
        while (found := self.client.get(job["links"]["self"]).json())["state"] not in (
            "completed",
            "failed",
            "cancelled",
        ):
            assert time.monotonic() < end, found
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def gateway(stack):
    made = Gateway(stack.home)
    yield made
    made.client.close()
    made.kill()


def test_a_job_over_http_is_done_once_though_the_gateway_is_killed(gateway, stack):
    deployments = {"blue": {"fleet": "shop", "settings": {"release": 1, "retries": 1}}, "green": {"fleet": "shop"}}
    definition = {"deployments": deployments, "default": "blue"}
    assert gateway.client.put("/v1/batch/shop", json=definition).status_code == 200
    content = (stack.home / "future/a.csv").read_bytes().replace(b"2.5", b"2.75")
    sent = gateway.client.post("/v1/batch/shop/uploads?name=rows.csv", content=content).json()
    asked, key = {"inputs": [sent["uri"]]}, {"Idempotency-Key": "one"}
    job = gateway.client.post("/v1/batch/shop/jobs", json=asked, headers=key).json()
    gateway.kill()
    gateway.start()
    assert gateway.client.post("/v1/batch/shop/jobs", json=asked, headers=key).json()["id"] == job["id"]
    done = gateway.settled(job)
    assert (done["state"], done["reason"], done["release"]) == ("completed", "", 1)
    (of_file,) = done["counts"]["inputs"]
    assert (of_file["uri"], of_file["rows"], of_file["quarantined"]) == (sent["uri"], 36, 0)
    table = DeltaTable(stack.home / "var/lake/shop/predictions").to_pandas()
    account = json.loads((stack.home / f"var/lake/shop/_jobs/{job['id']}.json").read_text())
    ours = table[table.job_id == account["job_id"]]
    assert len(ours) == done["counts"]["predictions"] > 0
    output = gateway.client.get(done["links"]["output"])
    assert len(output.text.splitlines()) == len(ours) + 1
    runs = stack.post("flow_runs/filter", flow_runs={"idempotency_key": {"any_": [f"{job['id']}-0"]}}).json()
    assert len(runs) == 1
    end = time.monotonic() + 30  # Prefect keeps lines a moment after they were said.
    said = []
    while "score: 3 of 3" not in said:
        assert time.monotonic() < end, said
        said = [line["message"] for line in gateway.client.get(done["links"]["logs"]).json()["lines"]]


def test_a_job_whose_process_is_killed_is_done_once(gateway, stack):
    content = (stack.home / "future/a.csv").read_bytes().replace(b"2.5", b"2.25")
    sent = gateway.client.post("/v1/batch/shop/uploads?name=killed.csv", content=content).json()
    worker = psutil.Process(next(child["pid"] for child in stack.record()["children"] if child["role"] == "worker"))
    before = set(worker.children(recursive=True))
    job = gateway.client.post("/v1/batch/shop/jobs", json={"inputs": [sent["uri"]], "deployment": "green"}).json()
    end = time.monotonic() + 60
    while not (runs := [each for each in worker.children() if each not in before]):
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(1.0)  # While it imports, or is at work.
    runs[0].kill()
    done = gateway.settled(job)
    assert (done["state"], done["attempt"]) == ("completed", 1)
    (of_file,) = done["counts"]["inputs"]
    assert (of_file["rows"], of_file["quarantined"]) == (36, 0)
    table = DeltaTable(stack.home / "var/lake/shop/predictions").to_pandas()
    assert not table.duplicated(["segment", "origin", "time", "release", "as_of"]).any()


def test_a_job_whose_input_is_refused_has_failed_with_the_reason(gateway, stack):
    header = (stack.home / "future/a.csv").read_text().splitlines()[0]
    (stack.home / "future/odd").mkdir(exist_ok=True)
    (stack.home / "future/odd/_b.csv").write_text(header + "\n" + ",".join("?" for _ in header.split(",")) + "\n")
    asked = {"inputs": [str(stack.home / "future/odd/_b.csv")]}
    asked["overrides"] = {"retries": 0, "max_rejected_share": 0, "workers": 1, "concurrency": 1}
    answer = gateway.client.post("/v1/batch/shop/jobs", json=asked)
    assert answer.status_code == 202, answer.text
    failed = gateway.settled(answer.json())
    assert failed["state"] == "failed"
    assert "1 of 1 rows" in failed["reason"]
    (stack.home / "future/odd/_b.csv").write_text("week,store\n2026-01-01,1\n")
    told = gateway.client.post("/v1/batch/shop/jobs", json=asked).json()
    assert [one["field"] for one in told["errors"]] == ["body.inputs.0"]
    assert "no column" in told["detail"]


def test_a_job_that_waits_for_another_is_cancelled_before_it_begins(gateway):
    first = gateway.client.post("/v1/batch/shop/jobs", json={"deployment": "green"}).json()
    second = gateway.client.post("/v1/batch/shop/jobs", json={"deployment": "green"}).json()
    assert gateway.client.delete(second["links"]["self"]).status_code == 202
    assert gateway.settled(second)["state"] == "cancelled"
    assert gateway.settled(first)["state"] == "completed"


def test_the_gateway_speaks_https_with_a_certificate_of_its_own(stack, tmp_path):
    make_certificates(tmp_path, ["127.0.0.1"], 1)
    port, home = free_port(), stack.home
    files = ["--cert", tmp_path / "cert.pem", "--key", tmp_path / "key.pem"]
    command = [sys.executable, "-m", "cli", "serve", "--port", str(port), *files]
    with subprocess.Popen(command, cwd=home, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert f"https://127.0.0.1:{port}" in process.stdout.readline()
            with httpx.Client(verify=ssl.create_default_context(cafile=tmp_path / "ca.pem")) as client:
                end = time.monotonic() + 30
                while True:
                    try:
                        assert client.get(f"https://127.0.0.1:{port}/readyz").json() == {"status": "ok"}
                        break
                    except httpx.ConnectError:
                        assert time.monotonic() < end
                        time.sleep(0.1)
            with pytest.raises(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/readyz")
        finally:
            process.terminate()
    refused = myriad(home, "serve", "--host", "0.0.0.0", "--port", free_port())
    assert refused.returncode == 2
    assert "keys would travel in plain text" in refused.stderr


def test_a_file_event_becomes_a_run_by_an_automation(gateway, stack):
    gateway.client.put(
        "/v1/triggers/landing",
        json={"endpoint": "shop", "delivery": "event", "debounce_seconds": 0, "sweep_seconds": None},
    ).raise_for_status()
    content = (stack.home / "future/a.csv").read_text().replace("2.5", "2.75")
    place = stack.home / "future/landed.csv"
    place.write_text(content)
    before = stack.runs("score/shop")
    for _ in range(3):
        answer = gateway.client.post("/v1/triggers/landing", json={"uri": str(place)})
        assert answer.status_code == 202, answer.text
    stack.begun("score/shop", before)
    done = stack.completed("score/shop", before)
    assert done["parameters"]["inputs"] == [str(place)]
    account = json.loads((stack.home / f"var/lake/shop/_jobs/{done['parameters']['run_id']}.json").read_text())
    assert [(one["uri"], one["read"], one["quarantined"]) for one in account["inputs"]] == [(str(place), 36, 0)]
    place.unlink()


def test_registration_is_followed_by_promotion_and_scoring_and_news_are_told(gateway, stack):
    with listening() as (url, told):
        wish = {"url": url, "events": ["release.promoted", "release.held", "alert.raised"]}
        gateway.client.put("/v1/subscriptions/app", json=wish).raise_for_status()
        scored = stack.runs("score/shop")
        start(stack, "register/shop")
        stack.completed("promote/shop")
        start(stack, "alert/shop", what="look at this")
        stack.completed("alert/shop")
        end = time.monotonic() + 30
        while "alert.raised" not in told():
            assert time.monotonic() < end, told()
            time.sleep(0.2)
        assert told()["alert.raised"]["data"]["what"] == "look at this"
        assert told()["release.promoted"]["data"]["fleet"] == "shop"
        # A release that nobody had been told of is news, and scored.
        stack.completed("score/shop", scored)


def start(stack, label, **parameters):
    identity = stack.deployment(label)["id"]
    stack.post(f"deployments/{identity}/create_flow_run", parameters=parameters).raise_for_status()


@contextmanager
def listening():
    """Somebody who subscribes: the address, and by type what came."""
    bodies = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(Webhook(WEBHOOK_SECRET).verify(body, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", LISTENING), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{LISTENING}/hook", lambda: {body["type"]: body for body in bodies}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_ui_asks_for_the_password_and_its_form_shows_the_parameters(stack):
    site = f"http://127.0.0.1:{stack.port}"
    page = f"{site}/deployments/deployment/{stack.deployment('score/shop')['id']}/run"
    with Browser() as browser:
        browser.open(page)
        browser.wait("document.querySelector('input[type=password]') !== null")
        assert "Release" not in browser.run("document.body.innerText")
        browser.enter("input[type=password]", stack.auth_string)
        browser.wait("document.querySelector('input[type=password]') === null")
        browser.open(page)
        browser.wait("document.body.innerText.includes('Validate parameters')")
        text = browser.run("document.body.innerText")
    assert "Name of a file in fleets/, such as m3, or the path of a fleet file." in text
    assert "Release (Optional)" in " ".join(text.split())


def test_a_worker_that_was_killed_is_replaced_and_its_runs_are_ended(stack):
    stack.quiet()
    record = stack.record()
    worker = next(child["pid"] for child in record["children"] if child["role"] == "worker")
    for process in [psutil.Process(worker), *psutil.Process(worker).children(recursive=True)]:
        process.kill()
    identity = stack.deployment("train/shop")["id"]
    run = stack.post(f"deployments/{identity}/create_flow_run").json()
    running = {"type": "RUNNING", "name": "Running"}
    stack.post(f"flow_runs/{run['id']}/set_state", state=running, force=True).raise_for_status()
    again = myriad(stack.home, "up", "--fleet", "shop")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "marked 1 runs as crashed" in again.stdout
    assert stack.ask("GET", f"flow_runs/{run['id']}").json()["state"]["type"] == "CRASHED"
    servers = [
        [one["pid"] for one in found["children"] if one["role"] == "server"] for found in (record, stack.record())
    ]
    assert servers[0] == servers[1]


def test_down_leaves_no_process_and_no_port(stack):
    pids = [child["pid"] for child in stack.record()["children"]]
    family = [each for pid in pids for each in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]]
    down = myriad(stack.home, "down")
    assert down.returncode == 0, down.stderr
    assert down.stdout.splitlines() == [f"stopped the worker (pid {pids[1]})", f"stopped the server (pid {pids[0]})"]
    # Nobody may be there to reap what has ended.
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not healthy(stack.api)
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", stack.port)) != 0
    assert LocalServerManager(Settings(home=stack.home), {}).running() is None
    assert myriad(stack.home, "down").stdout == "nothing is running here\n"
    assert "no Prefect server is running here" in myriad(stack.home, "deploy", "shop").stderr


def test_a_server_that_ends_while_it_starts_is_told_at_once_with_its_last_words(home):
    began = time.monotonic()
    up = myriad(home, "up", "--port", free_port(), PREFECT_API_DATABASE_CONNECTION_URL="nonsense://")
    assert up.returncode == 1
    assert "the Prefect server ended while it started; the end of" in up.stderr
    assert "nonsense" in up.stderr
    assert "Traceback" not in up.stderr.splitlines()[0]
    assert time.monotonic() - began < 120
    assert not (home / "var/run/stack.json").exists()
