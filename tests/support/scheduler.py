"""A `dask scheduler` of a test's own, as a process: plain, or encrypted as docker-compose.yml has it."""

import os
import socket
import subprocess
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path

from adapters.compute.processes import die_with_parent

_LIMIT_S = 60.0


class Scheduler:
    """Ended and started again at the same address. certificates : folder that `myriad tls` has made; none: plain."""

    def __init__(self, certificates=None):
        self.port, self._certificates, self._process = free_port(), certificates, None
        self.scheme = "tcp" if certificates is None else "tls"

    @property
    def address(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self):
        program = Path(sysconfig.get_path("scripts")) / "dask"
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--protocol", self.scheme]
        self._process = subprocess.Popen(
            [program, "scheduler", *where, "--dashboard-address", "127.0.0.1:0"],
            env=os.environ | _encryption(self._certificates) | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "10"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        end = time.monotonic() + _LIMIT_S
        while not listens(self.port):
            assert self._process.poll() is None, "the scheduler has ended"
            assert time.monotonic() < end, "the scheduler does not listen"
            time.sleep(0.05)

    def kill(self):
        self._process.kill()
        self._process.wait()


@contextmanager
def scheduler(certificates=None):
    made = Scheduler(certificates)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def listens(port):
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _encryption(certificates):
    if certificates is None:
        return {}
    names = {"CA_FILE": "ca.pem", "SCHEDULER__CERT": "cert.pem", "SCHEDULER__KEY": "key.pem"}
    files = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(certificates / file) for name, file in names.items()}
    return files | {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}
