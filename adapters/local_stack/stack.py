"""Manage the server stack of a home: its settings, its supervisor and its client environment."""

import fcntl
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from dotenv import dotenv_values

from adapters.compute.processes import Known, end_family
from adapters.local_stack.addresses import Address, addresses_of
from adapters.local_stack.compose_file import Service, read_compose
from adapters.local_stack.env_file import write_secrets
from adapters.local_stack.postgres import PasswordError, check_accounts
from adapters.local_stack.process import LOOPBACK, Translation
from adapters.local_stack.supervisor import RECORD, Entry, Supervisor, read_record
from adapters.private_files import make_private, private_folder, private_opener, write_private
from domain.data.segment_search import suggest_closest
from domain.errors import OrchestratorError, SettingsError, UnknownNameError

__all__ = ["CLIENT", "LocalStack"]

CLIENT = "prefect-worker"
"""Service whose environment any client of the stack needs."""
_CLIENT_NAMES = ("MYRIAD_", "MLFLOW_", "AWS_", "PREFECT_API_", "PREFECT_CLIENT_", "PG", "DO_NOT_TRACK")
_START_LIMIT_S = 240.0
_STOP_LIMIT_S = 90.0
_POLL_S = 0.2
_GRACE_S = 10.0


class LocalStack:
    """The services of `docker-compose.yml` as processes below one supervisor, with data and logs in `var/stack`.

    variables : values for the variables of the file; they override `.env`. state : folder instead of `var/stack`.
    """

    def __init__(self, home: Path, variables: Mapping[str, str], state: Path | None = None) -> None:
        self._home = home.resolve()
        self._state = (state or self._home / "var/stack").resolve()
        self._file = self._home / "docker-compose.yml"
        self._env_file = self._home / ".env"
        self._variables = variables

    # -- configuration -----------------------------------------------------------------------------------------

    @property
    def variables(self) -> dict[str, str]:
        """Return the values for the variables of the compose file: `.env`, overridden by the environment."""
        from_file = {name: value for name, value in dotenv_values(self._env_file).items() if value is not None}
        return from_file | dict(self._variables)

    def services(self) -> list[Service]:
        """Read the services of the compose file. Raises SettingsError if secrets are missing."""
        return read_compose(self._file, self.variables)

    def translation(self) -> Translation:
        return Translation(self.services(), self._home, self._state)

    def log(self, service: str) -> Path:
        return self._state / "logs" / f"{service}.log"

    def client_environment(self) -> dict[str, str]:
        """Return the variables with which commands on this machine use the stack."""
        services = {service.name: service for service in self.services()}
        environment = dict(self.translation().process(services[CLIENT]).environment)
        # The runs' own role reaches the registry alone; people manage keys of the gateway, too.
        password = services["postgres"].environment["POSTGRES_OPERATOR_PASSWORD"]
        environment |= {"PGUSER": "operator", "PGPASSWORD": password}
        return {name: value for name, value in environment.items() if name.startswith(_CLIENT_NAMES)}

    def write_client_environment(self) -> Path:
        """Write `env` in the state folder, readable by its owner only, for a shell to source; return its path."""
        self._make_state()
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(self.client_environment().items())]
        write_private(self._state / "env", "".join(lines))
        return self._state / "env"

    def initialise(self) -> Path:
        """Write to `.env` the secrets that it lacks; return its path. Raises SettingsError if it lacks none."""
        write_secrets(self._env_file)
        return self._env_file

    # -- as processes -------------------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """Return the services started since the stack came up; an empty list if it is down."""
        return read_record(self._record) if self._supervisor() is not None else []

    def supervise(self, over: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """Run all services below this process until `over()`."""
        Supervisor(self.services(), self.translation(), self._state, tell).run(over)

    def up(self, tell: Callable[[str], None]) -> list[Entry]:
        """Start the stack if it is down, and wait until every service is ready.

        Raises SettingsError for settings that are missing or that the databases reject, and OrchestratorError if a
        service does not come up; a stack that this call started is then stopped again.
        """
        services = self.services()
        if self._env_file.exists():
            with suppress(PermissionError):  # Of another account, which lets us read it.
                make_private(self._env_file)
        with self._locked():
            if self._supervisor() is not None and self._settings_changed():
                tell(f"{self._env_file} has changed since the stack was started; starting it again ...")
                self._stop()
            anew = self._supervisor() is None
            if anew:
                self._end_orphans()
                _refuse_taken(services)
                self._spawn()
                write_private(self._digest_file, self._settings_digest())
            try:
                return self._await(services, tell)
            except BaseException:
                if anew:
                    self._stop()
                raise

    def restart(self, names: Sequence[str], tell: Callable[[str], None]) -> list[Entry]:
        """End services, which the supervisor starts again, or without names the whole stack; wait until all are ready.

        Raises
        ------
        UnknownNameError
            If the stack has no service of a name.
        """
        self._check_names(names)
        if not names or self._settings_changed():  # Only a new supervisor reads the settings again.
            self.down()
            return self.up(tell)
        with self._locked():
            for entry in self.entries():
                process = Known(entry.pid, entry.started).process() if entry.name in names and entry.pid else None
                if process is not None:
                    end_family(process, _GRACE_S)
                    tell(f"{entry.name}: ended, pid {entry.pid}")
            self._await_restart(set(names))
            return self._await(self.services(), tell)

    def _await_restart(self, names: Set[str]) -> None:
        """Wait until the record has seen the ends: until then, it shows the services as running."""
        end = time.monotonic() + _GRACE_S
        while time.monotonic() < end:
            gone = {entry.name for entry in self.entries() if entry.pid and Known(entry.pid, entry.started).process()}
            if not names - gone:
                return
            time.sleep(_POLL_S)

    def _check_names(self, names: Sequence[str]) -> None:
        known = [service.name for service in self.services()]
        for name in names:
            if name not in known:
                near = suggest_closest(name, known)
                raise UnknownNameError(f"service {name}: not found{near}; services: {', '.join(known)}")

    def log_files(self, names: Sequence[str]) -> dict[str, Path]:
        """Return the log files of services, by default of all that have one. Raises UnknownNameError."""
        self._check_names(names)
        chosen = names or [service.name for service in self.services()]
        return {name: self.log(name) for name in chosen if self.log(name).exists()}

    def addresses(self) -> list[Address]:
        """Return where people and clients find the stack, with the names of accounts, never with secrets."""
        return addresses_of(self.services(), self.variables)

    def _settings_changed(self) -> bool:
        """Tell if `.env` has changed since the running stack was started."""
        try:
            return self._digest_file.read_text(encoding="ascii") != self._settings_digest()
        except OSError:
            return False

    def _settings_digest(self) -> str:
        """Return a digest of `.env`; variables of the shell may differ from command to command."""
        content = repr(sorted(dotenv_values(self._env_file).items())).encode()
        return hashlib.sha256(content).hexdigest()

    @property
    def _digest_file(self) -> Path:
        return self._state / "settings.sha256"

    def down(self) -> list[Entry]:
        """Stop all services; return those that were running."""
        with self._locked():
            stopped = [entry for entry in self.entries() if entry.pid]
            self._stop()
        return stopped

    def hold(self, service: str) -> None:
        """Kill a service, as a crash would, and keep it down until it is released."""
        held = self._state / "held" / service
        held.parent.mkdir(exist_ok=True)
        held.touch()
        for entry in self.entries():
            process = Known(entry.pid, entry.started).process() if entry.name == service and entry.pid else None
            if process is not None:
                end_family(process, 0.0, signal.SIGKILL)

    def release(self, service: str) -> None:
        """Allow a held service to start again."""
        (self._state / "held" / service).unlink(missing_ok=True)

    def _await(self, services: list[Service], tell: Callable[[str], None]) -> list[Entry]:
        end, reported = time.monotonic() + _START_LIMIT_S, set[str]()
        while True:
            entries = self.entries()
            for entry in entries:
                if entry.status in ("running", "completed") and entry.name not in reported:
                    reported.add(entry.name)
                    if entry.name == "postgres":
                        self._check_databases()
                    tell(f"{entry.name:<15} {'ready' if entry.status == 'running' else 'done'}")
                if entry.status == "failed":
                    raise OrchestratorError(f"{entry.name}: {entry.told}\n{self._last_words(entry.name)}")
            if len(reported) == len(services):
                return entries
            if self._supervisor() is None:
                raise OrchestratorError(f"the stack ended while it started\n{self._last_words('supervisor')}")
            if time.monotonic() > end:
                late = [entry.name for entry in entries if entry.name not in reported]
                words = "\n".join(self._last_words(name) for name in late[:1])
                raise OrchestratorError(f"not ready within {_START_LIMIT_S:.0f} s: {', '.join(late)}\n{words}")
            time.sleep(_POLL_S)

    def _check_databases(self) -> None:
        """Bring roles to their present passwords; refuse a wrong one of the superuser."""
        service = next(service for service in self.services() if service.name == "postgres")
        translation, port = self.translation(), self.client_environment()["PGPORT"]
        environment = translation.process(service).environment
        try:
            check_accounts(port, translation.database_scripts(service), environment)
        except PasswordError as exc:
            raise SettingsError(
                f"POSTGRES_PASSWORD: not the one that the databases below {self._state} were made with; put that "
                f"one back in {self._env_file}, or remove {self._state} with all that is in it to begin anew"
            ) from exc
        except OrchestratorError as exc:
            raise OrchestratorError(f"{exc}\n{self._last_words('postgres')}") from exc

    def _spawn(self) -> None:
        private_folder(self.log("supervisor").parent)
        command = [sys.executable, "-u", "-m", "adapters.local_stack", str(self._home), str(self._state)]
        log = self.log("supervisor")
        with open(log, "wb", opener=private_opener) as output:
            started = subprocess.Popen(  # noqa: S603
                command,
                cwd=self._home,
                env={**os.environ, **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        started.returncode = 0  # It outlives us: keep Popen from warning about an unawaited child.
        known = Known.of(started.pid)
        write_private(self._pid_file, f"{known.pid} {known.started!r}")

    def _supervisor(self) -> psutil.Process | None:
        try:
            pid, started = self._pid_file.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return None
        return Known(int(pid), float(started)).process()

    def _stop(self) -> None:
        process = self._supervisor()
        if process is not None:
            end_family(process, _STOP_LIMIT_S)
        self._end_orphans()
        self._pid_file.unlink(missing_ok=True)

    def _end_orphans(self) -> None:
        """End services whose supervisor was killed; on Linux they ended with it."""
        for entry in read_record(self._record):
            process = Known(entry.pid, entry.started).process() if entry.pid else None
            if process is not None:
                end_family(process, 5.0)
        self._record.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that serialises commands which start or stop the stack."""
        self._make_state()
        with open(self._state / "stack.lock", "w", opener=private_opener) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_state(self) -> None:
        """Create the state folder, or tighten it with all that is in it: logs, data and secrets are its owner's."""
        below_home = [folder for folder in self._state.parents if self._home in folder.parents]
        for folder in [*reversed(below_home), self._state]:
            try:
                # As root, PostgreSQL runs as another user, who has to pass through to its own folder.
                private_folder(folder, others_enter=os.geteuid() == 0)
            except PermissionError as exc:
                raise SettingsError(
                    f"{exc.filename or folder}: belongs to another account, so it cannot be closed to others; start "
                    "the stack as that account, or give it to yourself (chown)"
                ) from exc

    def _last_words(self, service: str) -> str:
        log = self.log(service)
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return f"its log {log} cannot be read"
        return "\n  ".join([f"the end of {log}:", *(line for line in lines if line.strip())][-15:])

    @property
    def _record(self) -> Path:
        return self._state / RECORD

    @property
    def _pid_file(self) -> Path:
        return self._state / "supervisor.pid"


def _refuse_taken(services: list[Service]) -> None:
    """Raise OrchestratorError if a port is taken: one clear line instead of a service that keeps restarting."""
    import socket

    for service in services:
        for port in service.ports:
            with socket.socket() as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    attempt.bind((LOOPBACK, port))
                except OSError as exc:
                    raise OrchestratorError(
                        f"{service.name}: port {port} cannot be used: {exc.strerror}; stop what uses it, or name "
                        "another one in .env (see .env.example)"
                    ) from exc
