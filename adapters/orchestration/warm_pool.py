"""Brings runs and standby processes together, and keeps some of the latter ready."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["WarmPool"]

_LOG = logging.getLogger("myriad.resident")
_HERE = Path(__file__).parent
_ENGINE = "prefect.engine"
_IMPORTS = ("flows.deployments", "prefect.flow_engine", "prefect.runner", "distributed", "mlflow")
_POLL_S = 0.2
_PAUSE_S = 30.0
"""Between attempts to start a standby process where one has ended before it was ready."""


class WarmPool:
    """Listens at a socket that this user alone can reach."""

    def __init__(self, spares: int = 1, module: str = _ENGINE, imports: Sequence[str] = _IMPORTS) -> None:
        """spares : standby processes that are kept ready. module : what a run is. imports : done before it comes."""
        self._spares, self._module, self._imports = spares, module, tuple(imports)
        self._folder = Path(tempfile.mkdtemp(prefix="myriad-hub-"))
        self.path = self._folder / "hub"
        self._listening = socket.socket(socket.AF_UNIX)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._starting = set[int]()
        self._ready: deque[tuple[int, socket.socket]] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, name="resident-hub", daemon=True),
            threading.Thread(target=self._tend, name="resident-spares", daemon=True),
        ]

    @property
    def client(self) -> tuple[str, ...]:
        """The command that hands a run over."""
        return (sys.executable, "-I", "-S", str(_HERE / "warm_client.py"), str(self.path), self._module)

    @property
    def ready(self) -> int:
        """How many processes stand by."""
        with self._lock:
            return len(self._ready)

    def __enter__(self) -> "WarmPool":
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Standby processes end; runs go on."""
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
        for _pid, standby in self._ready:
            standby.close()
        for pid in self._starting:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        for child in self._children.values():
            child.returncode = child.poll() or 0  # Popen need not warn that nobody waits for those that go on.
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            with suppress(OSError):
                self._meet(one)

    def _meet(self, one: socket.socket) -> None:
        one.settimeout(5)
        said, handles, _, _ = socket.recv_fds(one, 32, 1)
        word, _, number = said.decode().partition(" ")
        if word == "standby":
            with self._lock:
                self._starting.discard(int(number))
                self._ready.append((int(number), one))
            return
        one.close()
        for handle in handles:
            self._hand_over(handle)
            os.close(handle)

    def _hand_over(self, run: int) -> None:
        """To the first process that is still there; with none the client sees its socket closed."""
        while True:
            with self._lock:
                if not self._ready:
                    return
                _, standby = self._ready.popleft()
            with standby, suppress(OSError):
                standby.setblocking(False)
                if not _gone(standby):
                    socket.send_fds(standby, [b"run"], [run])
                    return

    def _tend(self) -> None:
        """Keep as many processes ready, or on their way, as there shall be."""
        wait = 0.0
        while not self._over.wait(wait):
            wait = _POLL_S
            for pid in [pid for pid, child in self._children.items() if child.poll() is not None]:
                code = self._children.pop(pid).returncode
                with self._lock:
                    for each in [each for each in self._ready if each[0] == pid]:
                        self._ready.remove(each)
                        each[1].close()
                    if pid in self._starting:
                        self._starting.discard(pid)
                        wait = _PAUSE_S
                        _LOG.warning("a standby process has ended with code %s; runs start as usual", code)
            with self._lock:
                lacking = self._spares - len(self._ready) - len(self._starting)
            if wait < _PAUSE_S and lacking > 0:
                self._start()

    def _start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "adapters.orchestration.warm_process",
            str(self.path),
            self._module,
            *self._imports,
        ]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
        self._children[child.pid] = child
        with self._lock:
            self._starting.add(child.pid)


def _gone(standby: socket.socket) -> bool:
    """Whether the other end is closed; it never says more than its first word."""
    try:
        return standby.recv(1) == b""
    except BlockingIOError:
        return False
