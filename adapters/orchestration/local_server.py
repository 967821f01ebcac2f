"""The local server: Prefect's server and a worker as processes of this machine, which outlive the command."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import psutil

from adapters.compute.processes import Known, end_family
from adapters.orchestration.server_access import AUTH_FILE, auth_string, isolate_server
from adapters.private_files import private_folder
from adapters.settings import Settings, embedded_defaults, server_environment
from domain.errors import OrchestratorError

__all__ = [
    "WORKER",
    "Child",
    "LocalServer",
    "LocalServerManager",
    "describe_server",
    "healthy",
    "join_server",
    "prepare_server",
    "running_server",
]

HOST = "127.0.0.1"
WORKER = "myriad"
Role = Literal["server", "worker"]
ROLES: tuple[Role, ...] = ("server", "worker")
_STOP_GRACE_S = 15.0
_START_LIMIT_S = 180.0
_POLL_S = 0.2
_LOG_LINES = 15


@dataclass(frozen=True)
class Child:
    """A process of the local server."""

    role: Role
    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """Return the process, or None if it has ended."""
        return Known(self.pid, self.started).process()

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.started, UTC)


@dataclass(frozen=True)
class LocalServer:
    """Port and processes of a local server."""

    port: int
    children: tuple[Child, ...] = ()

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.ui_url}/api"

    @property
    def complete(self) -> bool:
        """Return True if server and worker are alive."""
        return all(self.child(role) for role in ROLES)

    def child(self, role: Role) -> Child | None:
        """Return the running process of this role, if there is one."""
        return next((child for child in self.children if child.role == role and child.process()), None)


def healthy(api_url: str, limit_s: float = 2.0) -> bool:
    """Return True if a Prefect server answers at the URL."""
    try:
        return httpx.get(f"{api_url}/health", timeout=limit_s).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def running_server(settings: Settings) -> str | None:
    """Return the URL of a Prefect server that answers: the environment's, or the local one; None without either.

    The password of the local one goes to the environment, where Prefect's clients read it. Raises SettingsError if the
    environment names a server that cannot be used.
    """
    named = os.environ.get("PREFECT_API_URL")
    server = LocalServerManager(settings, os.environ).running()
    local = server.api_url if server and server.child("server") else None
    if local is not None and named in (None, local):
        # Clients of this process read it; a server that is named otherwise has a password of its own.
        os.environ.setdefault("PREFECT_API_AUTH_STRING", auth_string(settings, os.environ))
    if named:
        from adapters.health.servers import check_prefect  # Here, since commands that only look need none of it.

        check_prefect(named)
        return named
    return local if local and healthy(local) else None


def join_server(settings: Settings) -> None:
    """Have the runs of this process show up in the UI of a running server, if there is one."""
    url = running_server(settings)
    if url is None:
        return
    os.environ["PREFECT_API_URL"] = url
    # The run's log goes to the server; a copy in the terminal would tear up the progress bars.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def prepare_server(settings: Settings) -> None:
    """Join the running server; without one, prepare the environment for a server inside this process."""
    join_server(settings)
    embedded_defaults(settings)
    if not os.environ.get("PREFECT_API_URL"):
        isolate_server(settings)


def describe_server(server: LocalServer, logs: Mapping[Role, Path]) -> Iterator[str]:
    """Describe a running server for people: links, processes, logs, and how to use and stop it."""
    yield f"Prefect      {server.ui_url}"
    yield f"deployments  {server.ui_url}/deployments"
    for child in server.children:
        since = f"{child.began.astimezone():%Y-%m-%d %H:%M}"
        yield f"{child.role:<12} pid {child.pid} since {since}, log {logs[child.role]}"
    yield f"sign in      with the text of {AUTH_FILE}, or of PREFECT_API_AUTH_STRING if you have set it"
    yield f"use          export PREFECT_API_URL={server.api_url}"
    yield f'             export PREFECT_API_AUTH_STRING="$(cat {AUTH_FILE})"'
    yield "stop         myriad down"


class LocalServerManager:
    """Start, find and stop the one local server of a home."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """environment : variables that the processes start from; defaults are filled in."""
        self._settings = settings
        self._environment = environment
        self._folder = settings.path("var/run")
        self._record = self._folder / "stack.json"

    @property
    def auth_string(self) -> str:
        """User and password of the server. Raises OrchestratorError if its file cannot be made or read."""
        return auth_string(self._settings, self._environment)

    @property
    def logs(self) -> dict[Role, Path]:
        """Log files of the processes."""
        return {role: self._folder / f"{role}.log" for role in ROLES}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which one command at a time starts or stops the server; others wait."""
        for folder in (self._folder, self._settings.path("var/prefect")):
            private_folder(folder)
        with (self._folder / "stack.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def running(self) -> LocalServer | None:
        """Return the server on record with the processes that are still alive; None if there are none."""
        try:
            content = json.loads(self._record.read_text(encoding="utf-8"))
            children = tuple(Child(**child) for child in content["children"])
            server = LocalServer(content["port"], tuple(child for child in children if child.process()))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return server if server.children else None

    def start(self, server: LocalServer, role: Role) -> LocalServer:
        """Start one more process, in a session of its own and on record from its first moment."""
        if role == "server":
            _check_port(server.port)
        log = self.logs[role]
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            started = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *_ARGUMENTS[role]],
                cwd=self._settings.home,
                env=server_environment(self._settings, server.port, self._environment, self.auth_string),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Ignored where we run in the background, and then a worker could not be stopped gently.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        started.returncode = 0  # It outlives us, so Popen must not warn that nobody waits for it.
        child = Child(role, started.pid, Known.of(started.pid).started)
        server = LocalServer(server.port, (*server.children, child))
        self._write(server)
        return server

    def await_ready(self, server: LocalServer, role: Role, ready: Callable[[], bool]) -> None:
        """Wait until the process is ready. Raises OrchestratorError with the end of its log once it has ended."""
        end = time.monotonic() + _START_LIMIT_S
        while not ready():
            if server.child(role) is None:
                raise OrchestratorError(f"the Prefect {role} ended while it started; {self._last_words(role)}")
            if time.monotonic() > end:
                limit = f"did not get ready within {_START_LIMIT_S:.0f} s"
                raise OrchestratorError(f"the Prefect {role} {limit}; {self._last_words(role)}")
            time.sleep(_POLL_S)

    def stop(self, grace_s: float = _STOP_GRACE_S) -> tuple[Child, ...]:
        """End the worker, then the server, with all that they started; return the stopped processes."""
        server = self.running()
        stopped = sorted(server.children, key=lambda child: child.role == "server") if server else []
        for child in stopped:
            process = child.process()
            if process is not None:
                end_family(process, grace_s)
        self._record.unlink(missing_ok=True)
        return tuple(stopped)

    def _write(self, server: LocalServer) -> None:
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps(asdict(server), indent=2), encoding="utf-8")
        draft.replace(self._record)

    def _last_words(self, role: Role) -> str:
        log = self.logs[role]
        with suppress(OSError):
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [line.rstrip() for line in lines if line.strip()][-_LOG_LINES:]
            return "\n  ".join([f"the end of {log}:", *said])
        return f"its log {log} cannot be read"


_ARGUMENTS: dict[Role, tuple[str, ...]] = {
    "server": ("adapters.orchestration.prefect_server",),
    # Two runs at once: a long training must not hold up scoring, and each run has workers of its own.
    "worker": ("cli", "worker", "--name", WORKER, "--limit", "2"),
}


def _check_port(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as exc:
            raise OrchestratorError(
                f"port {port} cannot be used: {exc.strerror}{_owner(port)}; "
                f"stop what uses it, or name another port: myriad up --port {port + 1}"
            ) from exc


def _owner(port: int) -> str:
    """Name the process that listens at a port, as far as this user may know."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({' '.join(psutil.Process(connection.pid).cmdline())[:80]})"
    return ""
