"""Keep a pool of warm processes, and hand each run to one of them."""

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

_LOG = logging.getLogger("myriad.warm_pool")
_HERE = Path(__file__).parent
_ENGINE = "prefect.engine"
_IMPORTS = ("flows.deployments", "prefect.flow_engine", "prefect.runner", "distributed", "mlflow")
_POLL_S = 0.2
_PAUSE_S = 30.0
"""Pause after a warm process has ended before it was ready."""


class WarmPool:
    """A pool of warm processes behind a socket that only this user can reach."""

    def __init__(self, size: int = 1, module: str = _ENGINE, imports: Sequence[str] = _IMPORTS) -> None:
        """Prepare a pool that starts on entering.

        Parameters
        ----------
        size : int
            Warm processes to keep ready.
        module : str
            Module that a run executes.
        imports : sequence of str
            Modules that a warm process imports before a run arrives.
        """
        self._size, self._module, self._imports = size, module, tuple(imports)
        self._folder = Path(tempfile.mkdtemp(prefix="myriad-warm-"))
        self.path = self._folder / "pool"
        self._listening = socket.socket(socket.AF_UNIX)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._starting = set[int]()
        self._ready: deque[tuple[int, socket.socket]] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, name="warm-pool-listener", daemon=True),
            threading.Thread(target=self._refill, name="warm-pool-refill", daemon=True),
        ]

    @property
    def client(self) -> tuple[str, ...]:
        """Command that hands a run to a warm process."""
        return (sys.executable, "-I", "-S", str(_HERE / "warm_client.py"), str(self.path), self._module)

    @property
    def ready(self) -> int:
        """Number of warm processes that wait for a run."""
        with self._lock:
            return len(self._ready)

    def __enter__(self) -> "WarmPool":
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End the warm processes; runs in progress go on."""
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)
        for _pid, warm in self._ready:
            warm.close()
        for pid in self._starting:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        for child in self._children.values():
            child.returncode = child.poll() or 0  # Keeps Popen from warning about processes that go on.
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        message, handles, _, _ = socket.recv_fds(connection, 32, 1)
        word, _, number = message.decode().partition(" ")
        if word == "standby":
            with self._lock:
                self._starting.discard(int(number))
                self._ready.append((int(number), connection))
            return
        connection.close()
        for handle in handles:
            self._hand_over(handle)
            os.close(handle)

    def _hand_over(self, run: int) -> None:
        """Hand a run to the first warm process that is alive; without one the client sees its socket closed."""
        while True:
            with self._lock:
                if not self._ready:
                    return
                _, warm = self._ready.popleft()
            with warm, suppress(OSError):
                warm.setblocking(False)
                if not _is_closed(warm):
                    socket.send_fds(warm, [b"run"], [run])
                    return

    def _refill(self) -> None:
        """Keep the pool at its size, counting processes that are still starting."""
        wait = 0.0
        while not self._over.wait(wait):
            wait = _POLL_S
            for pid in [pid for pid, child in self._children.items() if child.poll() is not None]:
                code = self._children.pop(pid).returncode
                with self._lock:
                    for process in [process for process in self._ready if process[0] == pid]:
                        self._ready.remove(process)
                        process[1].close()
                    if pid in self._starting:
                        self._starting.discard(pid)
                        wait = _PAUSE_S
                        _LOG.warning(
                            "a warm process ended with code %s before its run; runs start without one for now", code
                        )
            with self._lock:
                missing = self._size - len(self._ready) - len(self._starting)
            if wait < _PAUSE_S and missing > 0:
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


def _is_closed(warm: socket.socket) -> bool:
    """Return True if the other end is closed; a warm process sends nothing after its first message."""
    try:
        return warm.recv(1) == b""
    except BlockingIOError:
        return False
