"""`myriad workers`: as many workers as there is work for, whatever happens to them."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from adapters.compute.dask import open_workers
from adapters.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def hosted(tmp_path):
    """The address of a real scheduler, and the process that looks after its workers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MYRIAD_DASK_ADDRESS": address}
    scheduler = ["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0"]
    commands = ([sys.executable, "-m", f"distributed.cli.{scheduler[0]}", *scheduler[1:]],)
    commands += ([sys.executable, "-u", "-m", "cli", "workers", "--maximum", "2"],)
    with (tmp_path / "log").open("w") as log:
        processes = [subprocess.Popen(one, env=environment, cwd=ROOT, stdout=log, stderr=log) for one in commands]
    try:
        yield address, psutil.Process(processes[1].pid), tmp_path / "log"
    finally:
        for process in reversed(processes):
            below = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for child in below:
                if child.is_running():
                    child.kill()


def workers_of(process):
    return [child for child in process.children(recursive=True) if "multiprocessing.spawn" in " ".join(child.cmdline())]


def slowly(number):
    import time

    time.sleep(0.3)
    return number


def test_workers_that_die_while_they_start_are_replaced(hosted):
    address, process, log = hosted
    killed = set()

    def kill_the_first():
        end = time.monotonic() + 60
        while len(killed) < 2 and time.monotonic() < end:
            for worker in workers_of(process):
                if worker.pid not in killed and len(killed) < 2:
                    worker.kill()
                    killed.add(worker.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with open_workers(Settings(dask_address=address)) as workers:
        assert workers.map("slow", slowly, list(range(12))) == list(range(12))
    killer.join()
    assert len(killed) == 2
    end = time.monotonic() + 30
    while workers_of(process) and time.monotonic() < end:
        time.sleep(0.2)
    assert not workers_of(process), log.read_text()
