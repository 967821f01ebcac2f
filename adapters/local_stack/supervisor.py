"""Starts services in their order, starts those again that end, and keeps a record of all of them."""

import json
import os
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
from domain.errors import SettingsError

__all__ = ["RECORD", "Entry", "Status", "Supervisor", "read_record"]

Status = Literal["waiting", "starting", "running", "completed", "failed"]
RECORD = "services.json"
_POLL_S = 0.1
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 15.0)
"""Before a service that ended is started again; the last one stays. One that has run for a minute begins anew."""
_STEADY_S = 60.0
_GRACE_S = 10.0
_MOST_LOG_BYTES = 50_000_000
_REACHED: Mapping[Condition, frozenset[Status]] = {
    "service_started": frozenset({"starting", "running"}),
    "service_healthy": frozenset({"running"}),
    "service_completed_successfully": frozenset({"completed"}),
}


@dataclass(frozen=True)
class Entry:
    """A service on record. pid : 0 where no process is. restarts : how often it was started again."""

    name: str
    status: Status
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    ports: tuple[int, ...] = ()
    told: str = ""


class _Running:
    """What the supervisor knows of one service."""

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
        self.told = ""

    @property
    def entry(self) -> Entry:
        alive = self.process is not None and self.process.poll() is None
        known = Known.of(self.process.pid) if alive and self.process else Known(0, 0.0)
        service = self.service
        return Entry(service.name, self.status, known.pid, known.started, self.restarts, service.ports, self.told)


class Supervisor:
    """All services of one stack, as children of this process."""

    def __init__(
        self,
        services: Sequence[Service],
        translation: Translation,
        state: Path,
        tell: Callable[[str], None],
    ) -> None:
        """state : folder of the record, of logs/, and of held/ with a file for each service that is to stay down."""
        self._services = [_Running(service) for service in services]
        self._translation = translation
        self._logs, self._held, self._record, self._tell = state / "logs", state / "held", state / RECORD, tell
        self._written: list[Entry] = []

    def run(self, over: Callable[[], bool]) -> None:
        """Until `over()`; then everything is stopped, those that depend on others first."""
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            while not over():
                self.step(time.monotonic())
                time.sleep(_POLL_S)
        finally:
            self._stop()

    def step(self, now: float) -> None:
        """Look at every service once."""
        for one in self._services:
            if one.process is not None and one.process.poll() is not None:
                self._ended(one, now)
            elif one.status == "starting":
                self._look(one, now)
            if one.status == "waiting" and one.process is None and now >= one.not_before and self._may_start(one):
                self._start(one, now)
        self._write()

    def _may_start(self, one: _Running) -> bool:
        if (self._held / one.service.name).exists():
            return False
        statuses = {other.service.name: other.status for other in self._services}
        return all(statuses[name] in _REACHED[condition] for name, condition in one.service.after.items())

    def _start(self, one: _Running, now: float) -> None:
        name, log = one.service.name, self.log(one.service.name)
        try:
            found = self._translation.process(one.service)
        except SettingsError as exc:
            one.status, one.told = "failed", str(exc)
            return
        if log.exists() and log.stat().st_size > _MOST_LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            one.process = _spawned(found.command, found.environment, self._translation.home, found.user, output)
        one.began, one.status, one.checks, one.check_at = now, "starting", 0, now
        self._tell(f"{name}: started, pid {one.process.pid}")
        if one.service.lasting and one.service.health is None:
            one.status = "running"

    def _look(self, one: _Running, now: float) -> None:
        """Ask the service's health check whether it can be used yet."""
        health = one.service.health
        if health is None:
            return
        if one.check is None and now >= one.check_at:
            command, environment = (
                self._translation.health(one.service),
                self._translation.process(one.service).environment,
            )
            one.check = _spawned(command, environment, self._translation.home, None, subprocess.DEVNULL)
            one.check_at = now + health.timeout_s
        elif one.check is not None and one.check.poll() is not None:
            if one.check.returncode == 0:
                one.status = "running"
                self._tell(f"{one.service.name}: ready after {now - one.began:.0f} s")
            one.checks += 1
            one.check, one.check_at = None, now + health.interval_s
        elif one.check is not None and now > one.check_at:
            one.check.kill()
        if one.checks >= health.retries and one.status == "starting":
            one.told = f"not ready after {one.checks} checks; see {self.log(one.service.name)}"

    def _ended(self, one: _Running, now: float) -> None:
        code = one.process.returncode if one.process else 0
        if one.process is not None:
            _end_group(one.process.pid)
        one.process, one.check = None, None
        name = one.service.name
        if not one.service.lasting:
            one.status = "completed" if code == 0 else "failed"
            one.told = "" if code == 0 else f"ended with {code}; see {self.log(name)}"
            self._tell(f"{name}: {one.told or 'done'}")
            return
        one.pauses = 0 if now - one.began > _STEADY_S else one.pauses
        one.not_before = now + _PAUSES_S[min(one.pauses, len(_PAUSES_S) - 1)]
        one.restarts, one.pauses, one.status = one.restarts + 1, one.pauses + 1, "waiting"
        one.told = f"ended with {code}, started again; see {self.log(name)}"
        self._tell(f"{name}: {one.told}")

    def _stop(self) -> None:
        """Those first on which no other one depends."""
        for one in reversed(self._services):
            if one.check is not None:
                one.check.kill()
            if one.process is not None and one.process.poll() is None:
                # PostgreSQL waits for its clients at SIGTERM; SeaweedFS keeps nothing in memory, and stops slowly.
                gently = signal.SIGINT if one.service.name == "postgres" else signal.SIGTERM
                with suppress(ProcessLookupError):
                    known = Known.of(one.process.pid).process()
                    if known is not None:
                        end_family(known, _GRACE_S, gently)
                one.process.wait()
                _end_group(one.process.pid)
                self._tell(f"{one.service.name}: stopped")
        self._record.unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """Where a service writes what it says."""
        return self._logs / f"{name}.log"

    def _write(self) -> None:
        entries = [one.entry for one in self._services]
        if entries == self._written:
            return
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps([asdict(entry) for entry in entries], indent=2), encoding="utf-8")
        draft.replace(self._record)
        self._written = entries


def _spawned(
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
        preexec_fn=die_with_parent,
    )


def _end_group(pid: int) -> None:
    """What a service has started ends with it, as in a container: a child that lives on would keep its port."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def read_record(record: Path) -> list[Entry]:
    """The services on record; none where there is no record."""
    try:
        return [Entry(**{**entry, "ports": tuple(entry["ports"])}) for entry in json.loads(record.read_text())]
    except (OSError, ValueError, KeyError, TypeError):
        return []
