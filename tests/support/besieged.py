"""A gateway as a process of its own, attackers as another, and the times of a client's requests meanwhile."""

import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from adapters.gateway.api_keys import create_key
from adapters.gateway.store import GatewayStore

__all__ = ["Besieged", "Times", "besieged"]

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[1]
_PAUSE_S = 0.05
_SERVER = """
import sys
from pathlib import Path
from adapters.settings import Settings
from serving.app import create_app
from serving.factory import open_dependencies, request_limits
from serving.server import ServerOptions, run_server
home, port, keys = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
tokens = {"jwt_issuer": "https://id.example.org/", "jwt_audience": "myriad", "jwt_keys": keys}
settings = Settings(home=home, lake=str(home / "lake"), **tokens)
run_server(create_app(open_dependencies(settings, "http://127.0.0.1:9/api"), request_limits(settings)),
           ServerOptions("127.0.0.1", port))
"""


@dataclass(frozen=True)
class Times:
    """Requests of a client: seconds of each, failures, and the largest memory of the gateway in bytes."""

    seconds: tuple[float, ...]
    failures: int
    memory_bytes: int
    attack: str = ""

    def quantile(self, share: float) -> float:
        """Return a quantile of the seconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Besieged:
    """A gateway, and a client with a key."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, key: str, log: Path) -> None:
        self.port, self.log = port, log
        self._process = psutil.Process(process.pid)
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)

    def measure(self, seconds: float, kind: str = "", connections: int = 0) -> Times:
        """Measure the requests of the client, with attackers of a kind or in peace."""
        self.client.get("/v1/batch").raise_for_status()
        attackers = None
        if kind:
            command = [sys.executable, str(_FOLDER / "attacker.py"), kind, str(self.port), str(connections)]
            attackers = subprocess.Popen([*command, str(seconds + 2)], stdout=subprocess.PIPE, text=True)
            self._wait_for_attack(attackers)
        times, failures, memory, end = list[float](), 0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            failures += self._fails()
            times.append(time.perf_counter() - begun)
            memory = max(memory, self._process.memory_info().rss)
            time.sleep(_PAUSE_S)
        summary = attackers.communicate(timeout=60)[0].strip() if attackers else ""
        return Times(tuple(times), failures, memory, summary)

    def _fails(self) -> bool:
        try:
            return self.client.get("/v1/batch").status_code != httpx.codes.OK
        except httpx.HTTPError:
            return True

    def _wait_for_attack(self, attackers: subprocess.Popen[str]) -> None:
        """Wait until the attackers are connected; in the meantime the client has its say, as in life."""
        end = time.monotonic() + 10
        while not psutil.Process(attackers.pid).net_connections("tcp") and time.monotonic() < end:
            self._fails()
            time.sleep(_PAUSE_S)
        time.sleep(1)


@contextmanager
def besieged(folder: Path):
    """A running gateway whose identity provider takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as provider, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        keys = f"http://127.0.0.1:{provider.getsockname()[1]}/keys"
        log = folder / "gateway.log"
        with log.open("wb") as stream:
            command = [sys.executable, "-c", _SERVER, str(folder), str(port), keys]
            process = subprocess.Popen(command, cwd=_ROOT, stdout=stream, stderr=stream)
        try:
            _wait_until_up(process, port, log)
            store = GatewayStore(f"sqlite:///{folder}/var/gateway/gateway.db")
            key, _ = create_key(store, "client", ["read"], [], None)
            store.close()
            running = Besieged(process, port, key, log)
            with running.client:
                yield running
        finally:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.1)
        else:
            return
