"""Prefect's servers, of `myriad up` and inside a plain run, attacked by pages of the web and other users."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from adapters.orchestration.local_server import LocalServer, LocalServerManager, healthy
from adapters.orchestration.server_access import AUTH_FILE, auth_string
from adapters.settings import Settings
from domain.errors import OrchestratorError

EMBEDDED = """
import os, sys
from adapters.orchestration.server_access import isolate_server
from adapters.settings import Settings, embedded_defaults
embedded_defaults(Settings())
isolate_server(Settings())
from prefect.server.api.server import SubprocessASGIServer
server = SubprocessASGIServer()
server.start()
print(server.api_url, os.environ["PREFECT_API_AUTH_STRING"], flush=True)
sys.stdin.read()
"""
CALLS = (("GET", "admin/version"), ("POST", "flows/"), ("POST", "deployments/filter"), ("POST", "work_pools/filter"))
CALLS += (("POST", "flow_runs/filter"), ("GET", "admin/settings"), ("DELETE", "work_pools/local"), ("POST", "events"))
SOCKETS = ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled")
SOCKETS += ("work_pools/local/workers/connect",)


class Embedded:
    """A process with a server inside, as a plain run has it."""

    def __init__(self, home):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MYRIAD_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-c", EMBEDDED],
            cwd=home,
            env=clean | {"MYRIAD_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.api, self.auth_string = self._process.stdout.readline().split()

    def call(self, method, path, **body):
        auth = tuple(self.auth_string.split(":"))
        return httpx.request(method, f"{self.api}/{path}", json=body, auth=auth, timeout=30).raise_for_status().json()

    def end(self):
        self._process.communicate(timeout=30)

    def kill_alone(self):
        """Kill the process, not the server that it has started."""
        self._process.kill()
        self._process.wait(timeout=30)
        self._process.stdin.close()
        self._process.stdout.close()

    def kill(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    server = Embedded(home)
    yield server
    server.end()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The server of `myriad up`, without its worker."""
    home = tmp_path_factory.mktemp("local")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MYRIAD_"))}
    manager = LocalServerManager(Settings(home=home), clean)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with manager.locked():
        server = manager.start(LocalServer(port), "server")
        manager.await_ready(server, "server", lambda: healthy(server.api_url))
        yield server, home
        manager.stop()


@pytest.fixture(params=["embedded", "local"])
def api(request):
    server = request.getfixturevalue(request.param)
    return server.api if isinstance(server, Embedded) else server[0].api_url


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nothing_is_served_without_the_password(api, method, path):
    for headers in ({}, {"Authorization": "Basic bXlyaWFkOng="}, {"Authorization": "Bearer x"}):
        assert httpx.request(method, f"{api}/{path}", json={}, headers=headers, timeout=30).status_code == 401


@pytest.mark.parametrize("path", SOCKETS)
def test_no_websocket_is_served_without_the_password(api, path):
    with pytest.raises((WebSocketException, OSError)):
        two_messages(f"{api.replace('http', 'ws')}/{path}")


def two_messages(url):
    with connect(url) as client:
        client.send('{"type": "auth", "token": "x"}')
        return client.recv(timeout=10), client.recv(timeout=10)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9"])
def test_a_page_of_another_origin_may_read_nothing(api, origin):
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (
        httpx.options(f"{api}/deployments/filter", headers=asked, timeout=30),
        httpx.get(f"{api}/health", headers={"Origin": origin}, timeout=30),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_resolves_to_this_machine_is_refused(local):
    server, _ = local
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "[::1]", "0.0.0.0", ""):
        for path in ("/", "/api/health", "/api/deployments/filter"):
            assert httpx.get(server.ui_url + path, headers={"Host": host}, timeout=30).status_code == 400, host
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        assert httpx.get(server.ui_url, headers={"Host": host}, timeout=30).status_code == 200


def test_the_password_is_random_and_its_owners_alone(local, tmp_path):
    server, home = local
    secret = home / AUTH_FILE
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.parent.stat().st_mode & 0o777 == 0o700
    assert (home / "var/prefect").stat().st_mode & 0o777 == 0o700
    one = auth_string(Settings(home=home), {})
    assert httpx.get(f"{server.api_url}/admin/version", auth=tuple(one.split(":")), timeout=30).status_code == 200
    other = auth_string(Settings(home=tmp_path), {})
    assert len({one, other}) == 2
    assert min(len(one), len(other)) > 40
    assert auth_string(Settings(home=tmp_path), {}) == other
    assert auth_string(Settings(home=tmp_path), {"PREFECT_API_AUTH_STRING": "me:mine"}) == "me:mine"
    (tmp_path / AUTH_FILE).write_text("")
    with pytest.raises(OrchestratorError, match="the password of the Prefect server is empty; delete the file"):
        auth_string(Settings(home=tmp_path), {})
    (tmp_path / AUTH_FILE).write_text("half-a-password")
    with pytest.raises(OrchestratorError, match="the password of the Prefect server is not USER:PASSWORD") as caught:
        auth_string(Settings(home=tmp_path), {})
    assert "half" not in str(caught.value)


def test_what_was_planted_in_the_server_of_a_run_ends_with_it(tmp_path):
    first = Embedded(tmp_path)
    beside = Embedded(tmp_path)
    flow = first.call("POST", "flows/", name="planted")["id"]
    first.call("POST", "deployments/", name="planted", flow_id=flow, entrypoint="evil.py:evil")
    first.call("POST", "flow_runs/", flow_id=flow, state={"type": "SCHEDULED"})
    assert len(first.call("POST", "flow_runs/filter")) == 1
    assert beside.call("POST", "flow_runs/filter") == []
    assert first.auth_string != beside.auth_string
    first.end()
    beside.kill()
    later = Embedded(tmp_path)
    assert later.call("POST", "flow_runs/filter") == []
    assert later.call("POST", "deployments/filter") == []
    databases = sorted(path.name.partition("-")[0] for path in (tmp_path / "var/prefect/embedded").glob("*.db"))
    later.end()
    assert len(databases) == 2, "the template, and that of the run; what a killed run left is gone"
    assert [path.name.partition("-")[0] for path in (tmp_path / "var/prefect/embedded").iterdir()] == ["template"]
    # Not in the one that `myriad up` would serve to its worker either.
    assert not (tmp_path / "var/prefect/prefect.db").exists()


def test_a_killed_run_s_server_ends_with_the_next_run_and_that_of_a_living_one_stays(tmp_path):
    beside, killed = Embedded(tmp_path), Embedded(tmp_path)
    killed.kill_alone()
    assert healthy(killed.api), "the case: Prefect's server does not notice"
    later = Embedded(tmp_path)
    assert not healthy(killed.api)
    assert beside.call("POST", "flow_runs/filter") == []
    for server in (beside, later):
        server.end()
