"""Start services in dependency order, restart those that end, and keep a record of all of them."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal

from adapters.compute.processes import Known, die_with_parent, end_family
from adapters.local_stack.compose_file import Condition, Service
from adapters.local_stack.process import Translation
from adapters.private_files import private_folder, private_opener, write_private
from domain.errors import SettingsError

__all__ = ["RECORD", "Entry", "Status", "Supervisor", "read_record", "rotate_log"]

Status = Literal["waiting", "starting", "running", "completed", "failed"]
RECORD = "services.json"
_POLL_S = 0.1
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Pauses before successive restarts; the last one repeats. A service that ran for a minute starts over."""
_STEADY_S = 60.0
_GRACE_S = 10.0
_MOST_LOG_BYTES = 50_000_000
_ROTATE_EVERY_S = 30.0
_REACHED: Mapping[Condition, frozenset[Status]] = {
    "service_started": frozenset({"starting", "running"}),
    "service_healthy": frozenset({"running"}),
    "service_completed_successfully": frozenset({"completed"}),
}


@dataclass(frozen=True)
class Entry:
    """Recorded state of a service. pid : 0 without a process. restarts : number of restarts. told : latest message."""

    name: str
    status: Status
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    ports: tuple[int, ...] = ()
    told: str = ""


class _Unit:
    """Mutable state of one supervised service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.status: Status = "waiting"
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self.restarts = 0
        self.pauses = 0
        self.not_before = 0.0
        self.check: subprocess.Popen[bytes] | None = None
        self.checks = 0
        self.check_at = 0.0
        self.message = ""

    @property
    def entry(self) -> Entry:
        alive = self.process is not None and self.process.poll() is None
        identity = Known.of(self.process.pid) if alive and self.process else Known(0, 0.0)
        service = self.service
        return Entry(
            service.name, self.status, identity.pid, identity.started, self.restarts, service.ports, self.message
        )


class Supervisor:
    """Runs all services of one stack as children of this process."""

    def __init__(
        self,
        services: Sequence[Service],
        translation: Translation,
        state: Path,
        tell: Callable[[str], None],
    ) -> None:
        """state : folder of the record, of logs/, and of held/ with a file per service that must stay down."""
        self._services = [_Unit(service) for service in services]
        self._translation = translation
        self._logs, self._held, self._record, self._tell = state / "logs", state / "held", state / RECORD, tell
        self._written: list[Entry] = []
        self._rotate_at = 0.0

    def run(self, over: Callable[[], bool]) -> None:
        """Run the services until `over()`, then stop them, dependents first."""
        private_folder(self._logs)
        try:
            while not over():
                self.step(time.monotonic())
                time.sleep(_POLL_S)
        finally:
            self._stop()

    def step(self, now: float) -> None:
        """Check every service once; start or restart those that are due."""
        if now >= self._rotate_at:
            self._rotate_at = now + _ROTATE_EVERY_S
            for unit in self._services:
                rotate_log(self.log(unit.service.name))
        for unit in self._services:
            if unit.process is not None and unit.process.poll() is not None:
                self._handle_exit(unit, now)
            elif unit.status == "starting":
                self._check_health(unit, now)
            if unit.status == "waiting" and unit.process is None and now >= unit.not_before and self._may_start(unit):
                self._start(unit, now)
        self._write()

    def _may_start(self, unit: _Unit) -> bool:
        if (self._held / unit.service.name).exists():
            return False
        statuses = {other.service.name: other.status for other in self._services}
        return all(statuses[name] in _REACHED[condition] for name, condition in unit.service.after.items())

    def _start(self, unit: _Unit, now: float) -> None:
        name, log = unit.service.name, self.log(unit.service.name)
        try:
            launch = self._translation.process(unit.service)
        except SettingsError as exc:
            unit.status, unit.message = "failed", str(exc)
            return
        rotate_log(log)
        with open(log, "ab", opener=private_opener) as output:
            unit.process = _spawn(launch.command, launch.environment, self._translation.home, launch.user, output)
        unit.began, unit.status, unit.checks, unit.check_at = now, "starting", 0, now
        self._tell(f"{name}: started, pid {unit.process.pid}")
        if unit.service.lasting and unit.service.health is None:
            unit.status = "running"

    def _check_health(self, unit: _Unit, now: float) -> None:
        """Run the health check of a starting service, and mark the service running once the check succeeds."""
        health = unit.service.health
        if health is None:
            return
        if unit.check is None and now >= unit.check_at:
            command, environment = (
                self._translation.health(unit.service),
                self._translation.process(unit.service).environment,
            )
            unit.check = _spawn(command, environment, self._translation.home, None, subprocess.DEVNULL)
            unit.check_at = now + health.timeout_s
        elif unit.check is not None and unit.check.poll() is not None:
            if unit.check.returncode == 0:
                unit.status = "running"
                self._tell(f"{unit.service.name}: ready after {now - unit.began:.0f} s")
            unit.checks += 1
            unit.check, unit.check_at = None, now + health.interval_s
        elif unit.check is not None and now > unit.check_at:
            unit.check.kill()
        if unit.checks >= health.retries and unit.status == "starting":
            unit.message = f"not ready after {unit.checks} checks; see {self.log(unit.service.name)}"

    def _handle_exit(self, unit: _Unit, now: float) -> None:
        code = unit.process.returncode if unit.process else 0
        if unit.process is not None:
            _end_group(unit.process.pid)
        unit.process, unit.check = None, None
        name = unit.service.name
        if not unit.service.lasting:
            unit.status = "completed" if code == 0 else "failed"
            unit.message = "" if code == 0 else f"ended with {code}; see {self.log(name)}"
            self._tell(f"{name}: {unit.message or 'done'}")
            return
        unit.pauses = 0 if now - unit.began > _STEADY_S else unit.pauses
        unit.not_before = now + _PAUSES_S[min(unit.pauses, len(_PAUSES_S) - 1)]
        unit.restarts, unit.pauses, unit.status = unit.restarts + 1, unit.pauses + 1, "waiting"
        unit.message = f"ended with {code}, started again; see {self.log(name)}"
        self._tell(f"{name}: {unit.message}")

    def _stop(self) -> None:
        """Stop all services, dependents first."""
        for unit in reversed(self._services):
            if unit.check is not None:
                unit.check.kill()
            if unit.process is not None and unit.process.poll() is None:
                # PostgreSQL waits for its clients on SIGTERM; SeaweedFS keeps nothing in memory and stops slowly.
                gently = signal.SIGINT if unit.service.name == "postgres" else signal.SIGTERM
                with suppress(ProcessLookupError):
                    identity = Known.of(unit.process.pid).process()
                    if identity is not None:
                        end_family(identity, _GRACE_S, gently)
                unit.process.wait()
                _end_group(unit.process.pid)
                self._tell(f"{unit.service.name}: stopped")
        self._record.unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """Return the log file of a service."""
        return self._logs / f"{name}.log"

    def _write(self) -> None:
        entries = [unit.entry for unit in self._services]
        if entries == self._written:
            return
        write_private(self._record, json.dumps([asdict(entry) for entry in entries], indent=2))
        self._written = entries


def _spawn(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, user: str | None, output: int | IO[bytes]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - from our own compose file
        command,
        env=dict(environment),
        cwd=folder,
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        preexec_fn=die_with_parent,
    )


def _end_group(pid: int) -> None:
    """Kill the process group of a service, as a container would: a surviving child would keep its port."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def rotate_log(log: Path, most_bytes: int = _MOST_LOG_BYTES) -> None:
    """Move a log that has become too large to `NAME.log.1`, in place of the one before.

    The service holds the file open for appending: it is copied and emptied, and goes on at its new end.
    """
    if not log.exists() or log.stat().st_size <= most_bytes:
        return
    former = log.with_suffix(".log.1")
    with open(former, "wb", opener=private_opener) as copy, log.open("rb") as content:
        shutil.copyfileobj(content, copy)
    os.truncate(log, 0)


def read_record(record: Path) -> list[Entry]:
    """Read the recorded services; an empty list if there is no readable record."""
    try:
        return [Entry(**{**entry, "ports": tuple(entry["ports"])}) for entry in json.loads(record.read_text())]
    except (OSError, ValueError, KeyError, TypeError):
        return []
