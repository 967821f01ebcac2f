"""Warm processes: a run gets its environment, folder, output and exit code, and ends with its client."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from adapters.compute.processes import alive
from adapters.orchestration.warm_pool import WarmPool

SUPPORT = str(Path(__file__).parents[2] / "support")


@pytest.fixture
def hold(monkeypatch, tmp_path):
    """While this file is there, no further process gets ready."""
    monkeypatch.setenv("HOLD", str(tmp_path / "hold"))
    return tmp_path / "hold"


@pytest.fixture
def hub(monkeypatch, hold):
    monkeypatch.setenv("PYTHONPATH", SUPPORT)
    with WarmPool(1, "resident_job", ("decimal", "held_import")) as made:
        until(lambda: made.ready == 1)
        yield made


def until(true, limit_s=60):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def warm_processes():
    children = [child for child in psutil.Process().children() if alive(child)]
    return [child for child in children if "adapters.orchestration.warm_process" in child.cmdline()]


def begin(hub, wish, folder=None):
    environment = {"PYTHONPATH": SUPPORT, "WISH": wish, "PATH": os.environ["PATH"]}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(hub.client, env=environment, cwd=folder, **pipes)
    told = json.loads(process.stdout.readline())
    until(lambda: passes_on(process.pid))
    return process, told


def passes_on(pid):
    """Whether a process has a handler for SIGTERM; before, the signal would end the client alone."""
    status = Path(f"/proc/{pid}/status")
    caught = next((line for line in status.read_text().splitlines() if line.startswith("SigCgt")), None)
    return (
        caught is None or int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1 == 1 or not alive(psutil.Process(pid))
    )


def ended(process):
    """Its exit code, once it is there."""
    process.communicate(timeout=30)
    return process.returncode


def run(hub, wish, folder=None):
    process, told = begin(hub, wish, folder)
    _, errors = process.communicate(timeout=30)
    return process.returncode, told, errors


def test_a_run_has_its_environment_folder_output_and_code(hub, tmp_path):
    code, told, errors = run(hub, "fine", tmp_path)
    assert (code, told["wish"], told["folder"], told["warm"]) == (0, "fine", str(tmp_path), True)
    assert errors == "a word of warning\n"
    until(lambda: hub.ready == 1)
    code, again, _ = run(hub, "fail", tmp_path)
    assert code == 7
    assert again["pid"] != told["pid"], "each run has a process of its own"
    until(lambda: not psutil.pid_exists(told["pid"]) or not alive(psutil.Process(told["pid"])))


def test_a_module_that_is_warm_already_runs_without_a_warning(tmp_path):
    with WarmPool(1, "json.tool", ("json.tool",)) as made:
        until(lambda: made.ready == 1)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(made.client, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, **pipes)
        _, errors = process.communicate(timeout=60)
    assert "RuntimeWarning" not in errors


@pytest.mark.parametrize(("wish", "code", "said"), [("raise", 1, "RuntimeError: told"), ("die", 137, "")])
def test_a_run_that_breaks_is_told_by_its_code(hub, wish, code, said):
    found, _, errors = run(hub, wish)
    assert found == code
    assert said in errors


def test_a_signal_reaches_the_run(hub):
    process, told = begin(hub, "wait")
    assert alive(psutil.Process(told["pid"]))
    process.send_signal(signal.SIGTERM)
    assert ended(process) == 3


def test_the_run_and_its_children_end_with_a_killed_client(hub):
    process, told = begin(hub, "family")
    family = [psutil.Process(told[name]) for name in ("pid", "child")]
    process.kill()
    ended(process)
    until(lambda: not any(alive(each) for each in family))


def test_a_burst_starts_cold_where_nobody_stands_by(hub, hold):
    hold.touch()
    started = [begin(hub, "wait") for _ in range(3)]
    assert sorted(told["warm"] for _, told in started) == [False, False, True]
    for process, _ in started:
        process.terminate()
    assert [ended(process) for process, _ in started] == [3, 3, 3]


def test_runs_start_cold_without_a_hub(hub):
    client = hub.client
    hub.__exit__()
    done = subprocess.run(client, env={"PYTHONPATH": SUPPORT, "WISH": "fine"}, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["warm"]) == (0, False)


def test_a_warm_process_that_died_gets_no_run(hub):
    (warm,) = warm_processes()
    warm.kill()
    code, told, _ = run(hub, "fine")
    assert code == 0
    assert told["pid"] != warm.pid


def test_a_run_goes_on_without_the_pool_and_warm_processes_end_with_it(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", SUPPORT)
    with WarmPool(1, "resident_job", ()) as made:
        until(lambda: made.ready == 1)
        process, _ = begin(made, "wait")
        until(lambda: made.ready == 1)
    before = warm_processes()
    until(lambda: len([child for child in before if alive(child)]) == 1)
    process.terminate()
    assert ended(process) == 3


def test_a_warm_process_that_cannot_start_is_logged_and_not_retried_without_end(monkeypatch, caplog):
    with WarmPool(1, "resident_job", ("no_such_module",)) as made:
        until(lambda: "a warm process ended with code 1" in caplog.text)
        time.sleep(1)
        assert made.ready == 0
    assert caplog.text.count("a warm process ended with code") == 1


def test_the_socket_is_its_owners_alone(hub):
    assert hub.path.parent.stat().st_mode & 0o077 == 0
    assert sys.executable == hub.client[0]
