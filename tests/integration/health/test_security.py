"""`myriad doctor --security`: every opening is found and named with its way out, and no secret is quoted."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from adapters.health.credentials import credentials
from adapters.health.examination import examine
from adapters.health.listeners import listeners
from adapters.health.private_files import private_files
from adapters.health.roots import roots
from adapters.health.security import SECURITY_PROBES
from adapters.health.transport import transport
from adapters.settings import Settings, quiet_names
from domain.checks.health import counts

ROOT = Path(__file__).parents[3]
STRONG = secrets.token_hex(24)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No variable of the machine that runs the tests counts."""
    for name in [name for name in os.environ if name.startswith(("MYRIAD_", "MLFLOW_", "PREFECT_", "AWS_", "PG"))]:
        monkeypatch.delenv(name)
    for name, value in quiet_names().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def home():
    """A home that everybody may enter, unlike pytest's folders, so that its own modes are what is tested."""
    with tempfile.TemporaryDirectory(prefix="myriad-home-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder).resolve() / "home"
        home.mkdir(mode=0o755)
        yield home


def found(checks):
    return {(check.part, check.name): (check.verdict, check.found, check.way_out) for check in checks}


def write(path, text="x", mode=0o600, folder_mode=0o755):
    path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_fresh_home_has_nothing_to_say(home):
    checks = examine(Settings(home=home), security=True)
    assert {check.part for check in checks} == {part for part, _ in SECURITY_PROBES}
    # Ports are of the machine, on which other tests may have servers of their own.
    own = [check for check in checks if check.part != "ports"]
    assert (counts(own)["failed"], counts(own)["warning"]) == (0, 0), own
    assert not list(home.iterdir())


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".env", "var/stack/env", "var/gateway/secret"])
def test_a_secret_that_others_can_read_fails(home, name):
    path = write(home / name, mode=0o640)
    verdict, text, way_out = found(private_files(Settings(home=home)))["files", "secrets"]
    assert (verdict, text) == ("failed", f"{path} has mode 0640")
    subprocess.run(way_out, shell=True, check=True)
    assert found(private_files(Settings(home=home)))["files", "secrets"][0] == "ok"


@pytest.mark.parametrize("name", ["var/gateway/gateway.db-wal", "var/run/stack.json", "var/stack/supervisor.log"])
def test_state_that_others_can_read_fails(home, name):
    path = write(home / name, mode=0o644)
    assert found(private_files(Settings(home=home)))["files", "state"][:2] == ("failed", f"{path} has mode 0644")


def test_a_closed_folder_above_is_enough(home):
    write(home / "var/gateway/gateway.db", mode=0o644)
    (home / "var").chmod(0o700)
    checks = found(private_files(Settings(home=home)))
    assert checks["files", "state"][0] == "ok"
    assert checks["files", "data"][0] == "ok"


@pytest.mark.parametrize(("mode", "verdict"), [(0o777, "failed"), (0o770, "failed"), (0o755, "warning"), (0o711, "ok")])
def test_the_folder_of_all_data(home, mode, verdict):
    (home / "var").mkdir()
    (home / "var").chmod(mode)
    assert found(private_files(Settings(home=home)))["files", "data"][0] == verdict


def test_a_key_of_a_certificate(home):
    folder = home / "tls"
    for name in ("ca.pem", "cert.pem", "key.pem"):
        write(folder / name, mode=0o644)
    verdict, text, _ = found(private_files(Settings(home=home, dask_tls="tls")))["files", "secrets"]
    assert (verdict, text) == ("failed", f"{folder / 'key.pem'} has mode 0644")


# -- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", "password"),
        ("AWS_SECRET_ACCESS_KEY", "minioadmin"),
        ("PREFECT_API_AUTH_STRING", "admin:hunter2hunter2"),
        ("MYRIAD_GATEWAY_SECRET", "abcabcabcabcabcabcabcabcabcabcabcabc"),
        ("POSTGRES_PASSWORD", ""),
        ("POSTGRES_MLFLOW_PASSWORD", "mlflow"),
        ("PGPASSWORD", "postgres"),
        ("MYRIAD_WEBHOOK_SECRET", "whsec_changeme"),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_weak_secret_fails_and_is_not_quoted(home, monkeypatch, name, value, place):
    if place == "environment":
        monkeypatch.setenv(name, value)
    else:
        write(home / ".env", f"{name}={value}\n")
    verdict, text, way_out = found(credentials(Settings(home=home)))["secrets", name]
    assert (verdict, text.partition(":")[0]) == ("failed", "too weak")
    assert "openssl rand" in way_out
    assert not value or value.rpartition(":")[2] not in text + way_out


def test_passwords_in_addresses_and_the_gateway_s_file_count(home, monkeypatch):
    monkeypatch.setenv("MYRIAD_GATEWAY_DATABASE", "postgresql+psycopg://myriad:myriad@127.0.0.1/gateway")
    path = write(home / "var/gateway/secret", "short")
    checks = found(credentials(Settings(home=home)))
    assert checks["secrets", "password in MYRIAD_GATEWAY_DATABASE"][0] == "failed"
    assert checks["secrets", str(path)][:2] == ("failed", "too weak: it has 5 bytes, and at least 16 are needed")


def test_strong_secrets_are_named(home, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a name")
    monkeypatch.setenv("PREFECT_API_KEY", "issued")
    monkeypatch.setenv("TEAM_PASSWORD", "of something else")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{STRONG}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", STRONG)
    checks = found(credentials(Settings(home=home)))
    assert checks == {
        ("secrets", "strength"): ("ok", "strong enough: AWS_SECRET_ACCESS_KEY, PREFECT_API_AUTH_STRING", "")
    }


def test_servers_elsewhere_need_an_account(home, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.org:4200/api")
    monkeypatch.setenv("MYRIAD_TRACKING_URI", "http://mlflow.example.org:5000")
    checks = found(credentials(Settings(home=home)))
    assert checks["secrets", "Prefect"][0] == "failed"
    assert checks["secrets", "MLflow"][0] == "warning"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{STRONG}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", STRONG)
    assert set(found(credentials(Settings(home=home)))) == {("secrets", "strength")}


# -- ports ------------------------------------------------------------------------------------------------------------

SERVER = """
import socket, sys, time
listener = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print(listener.getsockname()[1], flush=True)
time.sleep(60)
"""


@pytest.fixture
def server(tmp_path):
    """Start a server of a name that listens on an address; `asked` puts the address into its command line."""
    running = []

    def start(name, host, *options, asked=False):
        script = SERVER if asked else SERVER.replace("sys.argv[1]", repr(host))
        path = write(tmp_path / "programs" / name, script)
        command = [sys.executable, str(path), *([host] if asked else []), *options]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return int(running[-1].stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_port_beyond_this_machine_fails_unless_it_was_asked_for(home, server):
    prefect, weed = server("prefect", "0.0.0.0"), server("weed", "127.0.0.1", "-telemetry")
    dask, mlflow = server("dask", "0.0.0.0", asked=True), server("mlflow", "::")
    server("notes", "0.0.0.0")
    checks = found(listeners(Settings(home=home)))
    verdict, text, way_out = checks["ports", f"Prefect {prefect}"]
    assert (verdict, text) == ("failed", f"listens on 0.0.0.0:{prefect}, which other machines may reach")
    assert "127.0.0.1" in way_out
    assert checks["ports", f"MLflow {mlflow}"][0] == "failed"
    assert checks["ports", f"Dask {dask}"][0] == "warning"
    assert f"SeaweedFS {weed}" in checks["ports", "this machine"][1]
    assert checks["ports", "SeaweedFS telemetry"][0] == "warning"
    assert not [name for _, name in checks if "notes" in name]


@pytest.mark.parametrize(
    ("words", "server"),
    [
        (["/usr/bin/python", "-m", "prefect", "server", "start"], "Prefect"),
        (["/usr/bin/python", "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"], "Prefect"),
        (["/usr/bin/python", "-m", "uvicorn", "mlflow.server.fastapi_app:app"], "MLflow"),
        (["python", "-m", "distributed.cli.dask_scheduler"], "Dask"),
        (["/opt/venv/bin/python", "/opt/venv/bin/myriad", "serve"], "Myriad"),
        (["/opt/bin/weed", "mini"], "SeaweedFS"),
        (["vim", "docs/prefect.md"], None),
        (["grep", "-r", "mlflow"], None),
        ([], None),
    ],
)
def test_servers_are_told_by_their_command_lines(words, server):
    from adapters.health.listeners import _server

    assert _server(words) == server


# -- transport --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "verdict"),
    [("", "ok"), ("tcp://127.0.0.1:8786", "failed"), ("tcp://10.0.0.1:8786", "failed")],
)
def test_a_scheduler_without_certificates_fails(home, address, verdict):
    assert found(transport(Settings(home=home, dask_address=address)))["transport", "Dask"][0] == verdict


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("http://mlflow.example.org", "warning"),
        ("https://user:word@mlflow.example.org", "ok"),
        ("http://127.0.0.1:5000", "ok"),
        ("http://[::1]:5000", "ok"),
    ],
)
def test_plain_text_to_another_machine_is_a_warning(home, address, verdict):
    check = found(transport(Settings(home=home, tracking_uri=address)))["transport", "MLflow"]
    assert check[0] == verdict
    assert "word" not in check[1]


# -- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (".", "holds the settings"),
        ("var", "holds state and secrets"),
        ("var/gateway", "lies among state and secrets"),
        ("/", "holds the settings"),
        ("/proc/self", "holds files of the system (/proc)"),
        ("file:///etc", "holds files of the system (/etc)"),
    ],
)
def test_roots_that_hold_more_than_data_fail(home, place, text):
    verdict, found_text, _ = found(roots(Settings(home=home, gateway_roots=f"rides, {place}")))[
        "inputs", "MYRIAD_GATEWAY_ROOTS"
    ]
    assert verdict == "failed"
    assert text in found_text


def test_a_bucket_s_tables_are_no_input_and_no_output(home):
    for variable in ("gateway_roots", "gateway_outputs"):
        for place, verdict in {
            "s3://b": "failed",
            "s3://b/lake/x": "failed",
            "s3://b/raw": "ok",
            "s3://bb": "ok",
        }.items():
            settings = Settings(home=home, lake="s3://b/lake", **{variable: place})
            assert found(roots(settings))["inputs", f"MYRIAD_{variable.upper()}"][0] == verdict


def test_a_root_that_everybody_can_write_is_a_warning(home):
    (home / "rides").mkdir()
    (home / "rides").chmod(0o777)
    assert found(roots(Settings(home=home, gateway_roots="rides")))["inputs", "MYRIAD_GATEWAY_ROOTS"][0] == "warning"


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_command_exits_by_its_verdicts_and_writes_nothing(home):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MYRIAD_HOME": str(home)}
    command = [sys.executable, "-m", "cli", "doctor", "--security", "--json"]

    def failed():
        done = subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        checks = json.loads(done.stdout)
        assert {check["part"] for check in checks} == {part for part, _ in SECURITY_PROBES}
        assert done.returncode == any(check["verdict"] == "failed" for check in checks)
        return [(check["part"], check["name"]) for check in checks if check["verdict"] == "failed"]

    assert not [check for check in failed() if check[0] != "ports"]
    assert not list(home.iterdir())
    write(home / ".env", "POSTGRES_PASSWORD=postgres\n", mode=0o644)
    assert {("files", "secrets"), ("secrets", "POSTGRES_PASSWORD")} <= set(failed())
