"""A Prefect server as a process, with everything it keeps in a folder of its own."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def prefect_server(folder):
    """Yield the url of its API once it answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    prefixes = ("PREFECT_", "MYRIAD_")
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | quiet
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--no-ui"], env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while not _answers(url):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(url):
    try:
        return httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False
