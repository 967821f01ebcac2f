"""The whole server stack as processes: it is what docker-compose.yml says, and runs on it survive what happens."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import httpx
import psutil
import pytest
import yaml
from scratch_stack import ROOT, scratch_stack

from adapters.local_stack import LocalStack
from adapters.local_stack.postgres import connection_error
from adapters.local_stack.programs import executable
from adapters.sources.simulated import simulate_fleet
from benchmarks.faults import Faults
from domain.errors import SettingsError

HOME = "/srv/myriad"
SEEDS = (2, 4)
"""The coordinator before its commit, and the store; `make chaos` has all kinds."""


def needs(program):
    try:
        executable(program)
    except SettingsError as exc:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and {exc}")
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def stack():
    for program in ("postgres", "weed"):
        needs(program)
    before = os.umask(0)
    try:
        with scratch_stack(MYRIAD_WORKERS="2") as made:
            yield made
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def compose(stack):
    """The services as the file says, filled in by other code than the product's."""
    text = (ROOT / "docker-compose.yml").read_text()
    values = stack.variables

    def fill(match):
        name, default = match[1], match[3] if match[2] == ":-" else ""
        return values.get(name) or default

    return yaml.safe_load(re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", fill, text))


def processes(stack):
    return {entry.name: psutil.Process(entry.pid) for entry in stack.entries() if entry.pid}


def as_here(text, services, volumes):
    """A word of a command, or a value, as it has to be on this machine."""
    for name in services:
        text = re.sub(rf"//{name}:", "//127.0.0.1:", text)
    text = text.replace("0.0.0.0", "127.0.0.1")
    for target, place in sorted(volumes.items(), key=lambda item: -len(item[0])):
        if re.search(rf"(^|=){re.escape(target)}(/|$)", text):
            return text.replace(target, place, 1)
    return text


def volumes_of(service, stack):
    folders = {HOME: str(ROOT)}
    for text in service.get("volumes", []):
        source, target = text.split(":")[:2]
        named = not source.startswith(".")
        folders[target] = str(stack.translation().folder(source)) if named else str(ROOT / source)
    return folders


def test_what_runs_is_what_the_compose_file_says(stack, compose):
    services, running = compose["services"], processes(stack)
    lasting = {name for name, service in services.items() if service.get("restart") != "no"}
    assert running.keys() == lasting
    for name, process in running.items():
        service, volumes = services[name], volumes_of(services[name], stack)
        words = [as_here(word, services, volumes) for word in service.get("entrypoint", []) + service["command"]]
        words = ["-ip=127.0.0.1" if word == "-ip=s3" else word for word in words]
        found = process.cmdline()
        begin = next(place for place, word in enumerate(found) if Path(word).name == words[0])
        # PostgreSQL's image adds its folder, and SeaweedFS has inner ports; all else is word for word the same.
        assert found[begin + 1 : begin + len(words)] == words[1:], name
        added = found[begin + len(words) :]
        assert (name in ("postgres", "s3")) == bool(added), added
        given = {key: "" if value is None else str(value) for key, value in service["environment"].items()}
        expected = {key: as_here(value, services, volumes) for key, value in given.items()}
        expected |= {key: "127.0.0.1" for key, value in expected.items() if key.endswith("HOST") and value in services}
        environment = process.environ()
        assert {key: environment[key] for key in expected} == expected, name
        inherited = environment.keys() - expected.keys()
        inherited = {key for key in inherited if not key.startswith(("MKL_", "OMP_", "OPENBLAS_"))}
        assert inherited <= {"HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ"}, name


def test_published_ports_are_listened_on_and_nothing_listens_elsewhere_than_on_loopback(stack, compose):
    published = {int(port.split(":")[1]) for one in compose["services"].values() for port in one.get("ports", [])}
    listening = set()
    for process in processes(stack).values():
        for member in [process, *process.children(recursive=True)]:
            try:
                connections = member.net_connections("tcp")
            except psutil.NoSuchProcess:
                continue  # A process that stood by, or looked whether a service is healthy.
            listening |= {each.laddr for each in connections if each.status == psutil.CONN_LISTEN}
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert published <= {address.port for address in listening}


def _open_to_others(folder):
    """Files that accounts other than their owner may read or write, and folders that they may list."""
    for parent, names, files in os.walk(folder):
        if not Path(parent).stat().st_mode & 0o011:
            names.clear()  # Nobody else gets in, so modes below do not matter.
            continue
        for path in (Path(parent, name) for name in (*names, *files)):
            try:
                if not path.is_symlink() and path.stat().st_mode & 0o066:
                    yield path
            except FileNotFoundError:
                continue  # Of a server at work.


def test_nobody_else_can_read_what_the_stack_keeps_whatever_the_umask_of_whoever_started_it(stack):
    state = stack.log("x").parents[1]
    environment = stack.write_client_environment()
    assert environment.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o066 == 0
    assert list(_open_to_others(state)) == []
    kept = {path.relative_to(state).parts[0] for path in state.rglob("*") if path.is_file()}
    assert {"volumes", "logs", "env", "services.json", "supervisor.pid"} <= kept


def test_the_written_environment_is_that_of_a_client(stack):
    shown = subprocess.run(
        ["bash", "-c", f". {stack.write_client_environment()}; env -0"], capture_output=True, text=True, check=True
    )
    sourced = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    client = stack.client_environment()
    assert {name: sourced.get(name) for name in client} == client


def test_servers_refuse_whoever_has_no_account(stack):
    client = stack.client_environment()
    tracking, prefect = client["MYRIAD_TRACKING_URI"], client["PREFECT_API_URL"]
    assert httpx.post(f"{tracking}/api/2.0/mlflow/experiments/search", json={"max_results": 1}).status_code == 401
    assert httpx.post(f"{prefect}/flow_runs/filter", json={}).status_code == 401
    plain = f"{client['AWS_ENDPOINT_URL']}/myriad?list-type=2"
    assert httpx.get(plain).status_code == 403
    gateway = f"http://127.0.0.1:{stack.variables['GATEWAY_PORT']}"
    assert httpx.get(f"{gateway}/readyz").status_code == 200
    assert httpx.get(f"{gateway}/v1/batch").status_code == 401


def test_a_password_that_the_databases_do_not_take_is_told_at_once_and_leaves_the_stack_alone(stack):
    before = {entry.name: entry.pid for entry in stack.entries()}
    other = LocalStack(ROOT, stack.variables | {"POSTGRES_PASSWORD": "another"}, stack.log("x").parents[1])
    began = time.monotonic()
    with pytest.raises(SettingsError, match="POSTGRES_PASSWORD: not the one that the databases below"):
        other.up(lambda line: None)
    assert time.monotonic() - began < 60  # Not the four minutes that a service may take to start.
    assert {entry.name: entry.pid for entry in stack.entries()} == before


def test_a_role_gets_a_changed_password_when_the_stack_is_brought_up(stack):
    port, state = stack.variables["POSTGRES_PORT"], stack.log("x").parents[1]
    former = stack.variables["POSTGRES_RUNS_PASSWORD"]
    LocalStack(ROOT, stack.variables | {"POSTGRES_RUNS_PASSWORD": "changed"}, state).up(lambda line: None)
    assert connection_error(port, "runs", "changed", "mlflow") == ""
    assert "password authentication failed" in connection_error(port, "runs", former, "mlflow")
    stack.up(lambda line: None)
    assert connection_error(port, "runs", former, "mlflow") == ""


def test_a_server_that_dies_is_started_again(stack):
    before = processes(stack)["mlflow"]
    below = before.children(recursive=True)
    before.kill()
    health = f"{stack.client_environment()['MYRIAD_TRACKING_URI']}/health"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if httpx.get(health).is_success and processes(stack).get("mlflow") != before:
                break
        except (httpx.TransportError, psutil.NoSuchProcess):
            pass  # Not yet, or it ended between two looks.
        time.sleep(0.3)
    entry = next(entry for entry in stack.entries() if entry.name == "mlflow")
    assert entry.pid != before.pid
    assert entry.restarts == 1
    # Or else it would still be the old one that answers.
    assert below
    assert not [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def faults(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    fleet = simulate_fleet(folder / "raw", 120, 4, "parquet", {"weeks": 80, "horizon": 8, "seed": 0}, {})[-1]
    made = Faults(stack, str(fleet), folder, away_s=5.0)
    before = dict(os.environ)
    made.embedded()
    yield made
    os.environ.clear()
    os.environ.update(before)
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_a_run_on_the_stack_leaves_what_an_embedded_run_leaves(faults):
    assert faults.undisturbed().wrong == []
    outcomes = faults.expected["outcomes"]
    assert len(outcomes) == outcomes["segment"].nunique() == 120


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_with_a_fault_leaves_what_an_undisturbed_one_leaves(faults, seed):
    if not faults.times:
        assert faults.undisturbed().wrong == []
    verdict = faults.seeded(seed)
    assert verdict.wrong == [], verdict.summary
    assert verdict.snapshots > 0


def test_a_cancelled_run_stops_its_workers_and_the_next_one_does_only_what_is_missing(stack, tmp_path):
    fleet = _slow_fleet(tmp_path)
    client = stack.client_environment() | {"PREFECT_HOME": str(tmp_path / "prefect")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_"))}

    def command(*words):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=environment | client,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command("cli", "deploy", fleet)
    begun = command("prefect", "deployment", "run", "pipeline/slow")
    run_id = re.search(r"flow-run/([0-9a-f-]{36})", begun)[1]
    log = stack.log("prefect-worker")
    _await(lambda: "train begins" in log.read_text(), "train begins")
    faults = Faults(stack, fleet, tmp_path)
    journal = f"{client['MYRIAD_LAKE']}/slow/_journal"
    _await(lambda: len(_entries(client, journal)) >= 3, "three buckets are done")
    at_work = set()

    def someone_works():
        at_work.update(process.pid for process in faults._workers() if process.cpu_percent(0.3) > 5)
        return at_work

    _await(someone_works, "a worker is at work")
    auth = tuple(client["PREFECT_API_AUTH_STRING"].split(":"))
    flow_run = f"{client['PREFECT_API_URL']}/flow_runs/{run_id}"
    # As `prefect flow-run cancel` does, which takes seconds to start: on a busy machine the training would be over.
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    httpx.post(f"{flow_run}/set_state", json=cancelling, auth=auth, timeout=30).raise_for_status()
    _await(lambda: not at_work & {process.pid for process in faults._workers()}, "the workers' processes end", 30)
    _await(lambda: httpx.get(flow_run, auth=auth).json()["state_type"] == "CANCELLED", "the state is Cancelled")
    # Elastic workers leave when there is nothing to do.
    _await(lambda: not faults._workers(), "no worker is left")
    told = command("prefect", "deployment", "run", "pipeline/slow", "--watch")
    assert "Completed" in told
    assert re.search(r"train: resumed ([3-9]|\d\d) of \d+", log.read_text())


def _slow_fleet(folder):
    """Trees for every segment: a training of half a minute, so that it can be cancelled in its middle."""
    file = simulate_fleet(folder / "raw", 160, 4, "parquet", {"weeks": 104, "horizon": 8, "seed": 1}, {})[-1]
    content = yaml.safe_load(file.read_text())
    content |= {"name": "slow", "candidates": ["seasonal_naive", "lightgbm"], "fallback": ["global"]}
    content["partition"] = {"buckets": 16}
    content.pop("test")
    file.write_text(yaml.safe_dump(content))
    return str(file)


def _entries(client, journal):
    import s3fs

    storage = s3fs.S3FileSystem(
        key=client["AWS_ACCESS_KEY_ID"],
        secret=client["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=client["AWS_ENDPOINT_URL"],
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    return [name for name in storage.find(journal.removeprefix("s3://")) if "/train-" in name]


def _await(condition, what, limit_s=120):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"not within {limit_s} s: {what}"
        time.sleep(0.2)
