"""Ctrl-C as a terminal sends it, to the command, the server and the workers at once; SIGTERM and SIGHUP as well."""

import os
import select
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from shop import future, sales, shop

from cli.common import INTERRUPTED


def project(folder):
    for name, frame in (("sales", sales()), ("future", future())):
        (folder / name).mkdir()
        frame.to_csv(folder / name / "a.csv", index=False)
    (folder / "shop.yaml").write_text(yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True)))
    return folder


def session_of(leader):
    """Processes of that session that are still there; zombies are not."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.parametrize(
    ("sent", "to", "moment"),
    [
        (signal.SIGINT, "all", "early"),
        (signal.SIGINT, "all", "stages"),
        (signal.SIGTERM, "command", "early"),
        (signal.SIGTERM, "command", "stages"),
        (signal.SIGTERM, "all", "stages"),
        (signal.SIGHUP, "all", "stages"),
    ],
)
def test_a_signal_ends_the_run_and_all_that_it_started_with_one_line(tmp_path, sent, to, moment):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_", "MLFLOW_"))
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "run", "shop.yaml"],
        cwd=project(tmp_path),
        env=clean | {"MYRIAD_WORKERS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Ignored where the tests themselves run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        if moment == "early":
            await_children(process.pid)
        else:
            await_stage(process)
        began = time.monotonic()
        # A terminal signals all of them, as systemd does; `kill` only the command.
        os.killpg(process.pid, sent) if to == "all" else process.send_signal(sent)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 128 + sent, err.decode()
        # Nobody waits for a bucket or for a server: a minute is for machines that are busy with other things.
        assert time.monotonic() - began < 60
        assert err.decode() == f"{INTERRUPTED}\n"
        while session_of(process.pid) and time.monotonic() - began < 60:
            time.sleep(0.1)  # Killed, but not yet gone.
        assert session_of(process.pid) == []
    finally:
        for pid in [p.pid for p in psutil.process_iter() if sid(p.pid) == process.pid]:
            os.kill(pid, signal.SIGKILL)
        process.wait()


def sid(pid):
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def await_stage(process, limit_s=180.0):
    """Until the first stage is reported, after the line that the command begins with."""
    said, end = b"", time.monotonic() + limit_s
    while b"ingest" not in said:
        assert select.select([process.stdout], [], [], max(end - time.monotonic(), 0))[0], said
        said += os.read(process.stdout.fileno(), 65536)


def await_children(pid, limit_s=60.0):
    """Until the command has started the first process of its own: Prefect's server."""
    end = time.monotonic() + limit_s
    while not psutil.Process(pid).children():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_ctrl_c_before_anything_is_begun_is_told_in_a_line(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "run", "shop.yaml"],
        cwd=project(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert select.select([process.stdout], [], [], 60)[0]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode() in ("interrupted; nothing was begun\n", f"{INTERRUPTED}\n")
