"""Services of a compose file: read, and kept running by a supervisor, with real processes."""

import sys
import time

import psutil
import pytest

from adapters.local_stack import LocalStack, Service, Supervisor, Translation, read_compose
from adapters.local_stack.addresses import Address
from adapters.local_stack.compose_file import Health, Volume
from adapters.local_stack.supervisor import RECORD, read_record, rotate_log
from domain.errors import SettingsError, UnknownNameError

FILE = """
x-shared: &shared
  A: "1"
services:
  web:
    image: ours
    command: ["python", "-m", "http.server", "${PORT:-8000}"]
    environment: {<<: *shared, SECRET: "${SECRET:?make one}", COST: "5$$"}
    volumes: ["data:/srv/data", "./infra:/srv/infra:ro"]
    ports: ["127.0.0.1:${PORT:-8000}:80"]
    depends_on:
      base: {condition: service_healthy}
      once: {condition: service_completed_successfully}
      later: {condition: service_completed_successfully, required: false}
    restart: unless-stopped
  once:
    image: ours
    entrypoint: ["weed"]
    command: ["init"]
  later:
    image: ours
    command: ["init"]
    depends_on: {base: {condition: service_healthy}}
  base:
    image: theirs
    user: nobody
    healthcheck: {test: ["CMD", "ready", "now"], interval: 1s, timeout: 5s, retries: 3}
    restart: always
"""


@pytest.fixture
def compose(tmp_path):
    def read(text=FILE, **variables):
        (tmp_path / "docker-compose.yml").write_text(text)
        return {one.name: one for one in read_compose(tmp_path / "docker-compose.yml", variables)}

    return read


def test_services_come_after_those_that_they_wait_for_with_variables_filled_in(compose):
    found = compose(SECRET="s", PORT="9000")
    assert {"once", "base", "web", "later"} == set(found)
    assert list(found).index("web") > max(list(found).index(name) for name in ("once", "base"))
    web, once, base = found["web"], found["once"], found["base"]
    assert web.command == ("python", "-m", "http.server", "9000")
    assert web.environment == {"A": "1", "SECRET": "s", "COST": "5$"}
    assert web.volumes == (Volume("data", "/srv/data", True), Volume("./infra", "/srv/infra", False))
    assert web.ports == (9000,)
    assert web.after == {"base": "service_healthy", "once": "service_completed_successfully"}
    assert (web.lasting, once.lasting, base.lasting) == (True, False, True)
    assert once.command == ("weed", "init")
    assert base.health == Health(("ready", "now"), 1.0, 5.0, 3)
    assert compose(SECRET="s")["web"].ports == (8000,)


def test_all_secrets_that_are_missing_are_named_with_the_way_out(compose):
    text = FILE.replace('A: "1"', 'A: "${OTHER:?think of it}"')
    with pytest.raises(SettingsError) as caught:
        compose(text, SECRET="")
    assert sorted(str(caught.value).splitlines()) == ["OTHER: not set; think of it", "SECRET: not set; make one"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("restart: always", "restart: always\n    privileged: true", "service base: privileged is not supported"),
        ('["CMD", "ready"', '["CMD-SHELL", "ready"', "only CMD is supported"),
        ("    user: nobody", "    depends_on: {web: {condition: service_started}}", "services wait for each other"),
        ("services:", "services: [", "cannot be read"),
    ],
)
def test_what_processes_cannot_do_is_refused(compose, old, new, told):
    with pytest.raises(SettingsError, match=told):
        compose(FILE.replace(old, new), SECRET="s")


def test_a_folder_of_another_account_is_named_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "docker-compose.yml").write_text("services: {}")
    (tmp_path / "var").mkdir(mode=0o755)

    def refuse(path, mode):
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    with pytest.raises(SettingsError, match=r"/var: belongs to another account.*chown"):
        LocalStack(tmp_path, {}).down()


SAYS = "import sys, time; print('hello', flush=True); time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))"
READY = Health(("python", "-c", ""), 0.1, 5.0, 3)
NOT_READY = Health(("python", "-c", "raise SystemExit(1)"), 0.1, 5.0, 3)


def service(name, seconds=60, code=0, **changes):
    return Service(name, "ours", ("python", "-c", SAYS, str(seconds), str(code)), {"PATH": "/usr/bin"}, **changes)


@pytest.fixture
def supervised(tmp_path):
    """Starts services, and steps until a condition holds; ends them after the test."""
    made = []

    def start(*services):
        (tmp_path / "logs").mkdir(exist_ok=True)
        lines = []
        supervisor = Supervisor(services, Translation(services, tmp_path, tmp_path), tmp_path, lines.append)
        made.append(supervisor)

        def until(holds, limit=20.0):
            end = time.monotonic() + limit
            while time.monotonic() < end:
                supervisor.step(time.monotonic())
                entries = {entry.name: entry for entry in read_record(tmp_path / RECORD)}
                if holds(entries):
                    return entries
                time.sleep(0.02)
            pytest.fail(f"not within {limit} s: {entries}, {lines}")

        return until

    yield start
    for supervisor in made:
        supervisor._stop()


def test_a_service_waits_until_those_before_it_are_as_it_needs_them(supervised):
    until = supervised(
        service("base", health=READY),
        service("once", seconds=0.3, lasting=False),
        service("web", after={"base": "service_healthy", "once": "service_completed_successfully"}),
    )
    entries = until(lambda found: found["base"].status == "running")
    assert entries["web"].status in ("waiting", "running")
    entries = until(lambda found: found["web"].status == "running")
    assert {name: one.status for name, one in entries.items()} == {
        "base": "running",
        "once": "completed",
        "web": "running",
    }
    assert entries["web"].started >= entries["once"].started


def test_whoever_waits_for_a_service_that_is_not_ready_does_not_start(supervised):
    until = supervised(service("base", health=NOT_READY), service("web", after={"base": "service_healthy"}))
    entries = until(lambda found: "not ready after 3 checks" in found["base"].told)
    assert (entries["base"].status, entries["web"].status, entries["web"].pid) == ("starting", "waiting", 0)


def test_a_service_that_ends_is_started_again_and_one_that_is_to_end_is_not(supervised):
    until = supervised(service("web", seconds=0.1, code=3), service("once", seconds=0, lasting=False))
    entries = until(lambda found: found["web"].restarts == 2)
    assert "ended with 3, started again" in entries["web"].told
    assert (entries["once"].status, entries["once"].restarts) == ("completed", 0)


def test_a_service_that_fails_once_for_all_is_told_with_its_log(supervised, tmp_path):
    entries = supervised(service("once", seconds=0, code=4, lasting=False))(
        lambda found: found["once"].status == "failed"
    )
    assert entries["once"].told == f"ended with 4; see {tmp_path}/logs/once.log"
    assert (tmp_path / "logs/once.log").read_text() == "hello\n"


def test_a_program_that_is_not_installed_is_told(supervised):
    entries = supervised(Service("odd", "theirs", ("no-such-program",)))(lambda found: found["odd"].status == "failed")
    assert entries["odd"].told.startswith("no-such-program: not installed; it comes with ")


def test_a_service_that_is_held_stays_down_until_it_is_released(supervised, tmp_path):
    until = supervised(service("web"))
    pid = until(lambda found: found["web"].status == "running")["web"].pid
    (tmp_path / "held").mkdir()
    (tmp_path / "held/web").touch()
    psutil.Process(pid).kill()
    until(lambda found: found["web"].pid == 0)
    with pytest.raises(pytest.fail.Exception):
        until(lambda found: found["web"].pid, limit=1.5)
    (tmp_path / "held/web").unlink()
    assert until(lambda found: found["web"].status == "running")["web"].pid != pid


def test_what_a_service_has_started_ends_with_it(supervised, tmp_path):
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    until = supervised(Service("parent", "ours", ("python", "-c", code), lasting=False))
    until(lambda found: found["parent"].status == "completed")
    child = int((tmp_path / "logs/parent.log").read_text())
    end = time.monotonic() + 60
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the child lives on"
        time.sleep(0.05)


def test_only_what_the_file_gives_and_a_few_names_reach_a_service(supervised, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of whoever started it")
    code = "import json, os; print(json.dumps(sorted(os.environ)))"
    until = supervised(Service("env", "ours", ("python", "-c", code), {"GIVEN": "1"}, lasting=False))
    until(lambda found: found["env"].status == "completed")
    told = (tmp_path / "logs/env.log").read_text()
    assert "GIVEN" in told
    assert "AWS_SECRET_ACCESS_KEY" not in told


def test_commands_and_environment_are_at_home_on_this_machine(tmp_path):
    of_web = Service(
        "web",
        "ours",
        ("python", "--host", "0.0.0.0", "-ip=web", "--url=http://base:80/x", "/srv/data/in", "/srv/myriad/fleets"),
        {"URL": "http://base:80", "DB_HOST": "base", "NAME": "base", "FILE": "/srv/data", "LIKE": "/srv/database"},
        (Volume("data", "/srv/data", True),),
    )
    translation = Translation([of_web, Service("base", "theirs", ("python",))], tmp_path / "home", tmp_path / "state")
    found = translation.process(of_web)
    data = f"{tmp_path}/state/volumes/data"
    told = (
        "--host",
        "127.0.0.1",
        "-ip=127.0.0.1",
        "--url=http://127.0.0.1:80/x",
        f"{data}/in",
        f"{tmp_path}/home/fleets",
    )
    assert found.command == (sys.executable, *told)
    given = {name: found.environment[name] for name in of_web.environment}
    assert given == {
        "URL": "http://127.0.0.1:80",
        "DB_HOST": "127.0.0.1",
        "NAME": "base",
        "FILE": data,
        "LIKE": "/srv/database",
    }


class Unstarted(LocalStack):
    """A stack whose supervisor is only pretended."""

    def __init__(self, home):
        super().__init__(home, {})
        self.calls, self.alive = [], False

    def _supervisor(self):
        return self.alive or None

    def _spawn(self):
        self.alive = True
        self.calls.append("started")

    def _stop(self):
        self.alive = False
        self.calls.append("stopped")

    def _await(self, services, tell):
        return []


def test_up_starts_again_a_stack_whose_env_file_has_changed(tmp_path):
    (tmp_path / "docker-compose.yml").write_text("services: {}")
    (tmp_path / ".env").write_text("MYRIAD_WORKERS=2\n")
    stack, messages = Unstarted(tmp_path), []
    stack.up(messages.append)
    stack.up(messages.append)
    assert (stack.calls, messages) == (["started"], [])
    (tmp_path / ".env").write_text("# a comment\nMYRIAD_WORKERS=2\n")
    stack.up(messages.append)
    assert stack.calls == ["started"]
    (tmp_path / ".env").write_text("MYRIAD_WORKERS=3\n")
    stack.up(messages.append)
    assert stack.calls == ["started", "stopped", "started"]
    assert messages == [f"{tmp_path / '.env'} has changed since the stack was started; starting it again ..."]


def test_a_service_that_is_not_there_is_refused_with_the_closest_name(compose, tmp_path):
    compose(SECRET="s")
    stack = LocalStack(tmp_path, {"SECRET": "s"})
    for ask in (lambda: stack.log_files(["wep"]), lambda: stack.restart(["wep"], print)):
        with pytest.raises(UnknownNameError, match=r"service wep: not found.*web.*services: once, base, web"):
            ask()


def test_addresses_name_accounts_and_no_secret(tmp_path):
    text = "services:\n"
    for name, port in (("mlflow", 5001), ("prefect-server", 4200), ("gateway", 8700)):
        text += f"  {name}:\n    image: ours\n    command: [run]\n    ports: ['127.0.0.1:{port}:{port}']\n"
    (tmp_path / "docker-compose.yml").write_text(text)
    secrets = {"PREFECT_API_AUTH_STRING": "ann:hidden", "MLFLOW_TRACKING_USERNAME": "bob"}
    addresses = LocalStack(tmp_path, {**secrets, "MLFLOW_TRACKING_PASSWORD": "hidden"}).addresses()
    assert addresses[:2] == [
        Address("prefect-server", "http://127.0.0.1:4200", "ann, password in PREFECT_API_AUTH_STRING"),
        Address("mlflow", "http://127.0.0.1:5001", "bob, password in MLFLOW_TRACKING_PASSWORD"),
    ]
    assert addresses[2].url == "http://127.0.0.1:8700/docs"
    assert "hidden" not in str(addresses)


def test_a_log_that_is_too_large_is_moved_while_its_service_writes_on(tmp_path):
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as service:
        service.write(b"old line\n" * 10)
        rotate_log(log, most_bytes=100)
        assert log.stat().st_size == 90
        rotate_log(log, most_bytes=50)
        service.write(b"new line\n")
    assert log.read_bytes() == b"new line\n"
    assert (tmp_path / "web.log.1").read_bytes() == b"old line\n" * 10
    assert (tmp_path / "web.log.1").stat().st_mode & 0o077 == 0
