"""Processes of the local stack that are not what their record says, and ports that are taken."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from adapters.orchestration.local_server import Child, LocalServer, LocalServerManager
from adapters.settings import Settings, server_environment
from domain.errors import OrchestratorError


@pytest.fixture
def stacks(tmp_path):
    made = LocalServerManager(Settings(home=tmp_path), os.environ)
    with made.locked():
        yield made


@pytest.fixture
def sleeper():
    """A process that ignores SIGTERM, with a child that outlives it."""
    code = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += (
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()


def write_record(tmp_path, stack):
    (tmp_path / "var/run/stack.json").write_text(json.dumps(dataclasses.asdict(stack)))


def test_a_later_process_with_the_same_number_is_left_alone(stacks, sleeper, tmp_path):
    write_record(tmp_path, LocalServer(4200, (Child("server", sleeper.pid, sleeper.create_time() - 60),)))
    assert stacks.running() is None
    assert stacks.stop() == ()
    assert sleeper.is_running()
    assert not (tmp_path / "var/run/stack.json").exists()


def test_a_process_that_does_not_stop_is_killed_with_its_children(stacks, sleeper, tmp_path):
    child = Child("worker", sleeper.pid, sleeper.create_time())
    write_record(tmp_path, LocalServer(4200, (child,)))
    [grandchild] = sleeper.children()
    assert stacks.stop(grace_s=0.5) == (child,)
    assert child.process() is None
    # Nobody may be there to reap it.
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("content", ["", "{", "[]", '{"port": 1}', '{"port": 1, "children": [{"pid": 1}]}'])
def test_a_damaged_record_counts_as_none(stacks, tmp_path, content):
    (tmp_path / "var/run/stack.json").write_text(content)
    assert stacks.running() is None


def test_a_taken_port_is_told_with_who_has_it_and_the_way_out(stacks):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OrchestratorError) as caught:
            stacks.start(LocalServer(port), "server")
    told = str(caught.value)
    assert f"port {port} cannot be used: Address already in use by process {os.getpid()} (" in told
    assert told.endswith(f"or name another port: myriad up --port {port + 1}")


def test_the_processes_get_what_the_environment_says_and_stay_on_this_machine(tmp_path):
    settings = Settings(home=tmp_path)
    database = "postgresql+asyncpg://prefect@db/prefect"
    given = {"PREFECT_API_DATABASE_CONNECTION_URL": database, "MYRIAD_LAKE": "s3://lake", "PREFECT_API_URL": "http://a"}
    made = server_environment(settings, 4321, given, "myriad:secret")
    assert made["PREFECT_API_DATABASE_CONNECTION_URL"] == database
    assert made["MYRIAD_LAKE"] == "s3://lake"
    assert made["PREFECT_API_URL"] == "http://127.0.0.1:4321/api"
    assert made["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert made["MYRIAD_HOME"] == str(tmp_path)
    assert made["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
