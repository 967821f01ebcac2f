"""Translate services of the compose file to processes of this machine, with the same command and environment."""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.local_stack.compose_file import Service
from adapters.local_stack.postgres import postgres_user, prepare_data
from adapters.local_stack.programs import executable
from adapters.private_files import private_folder

__all__ = ["HOME", "LOOPBACK", "Process", "Translation"]

LOOPBACK = "127.0.0.1"
HOME = "/srv/myriad"
"""Path of the checkout in our image."""
_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "TZ")
"""Variables inherited from our environment; all others come from the compose file alone, as in a container."""
_KERNELS = ("MKL_", "OMP_", "OPENBLAS_")
"""Also inherited: these select linear algebra kernels, which affect the last digits of results."""
_LONGEST_SOCKET = 103
"""Bytes of a Unix socket's path that every system allows."""
_WEED_PORTS = ("master.port", "volume.port", "filer.port", "admin.port")


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

    def database_scripts(self, service: Service) -> list[Path]:
        """Return the scripts that PostgreSQL's image would run in a new data folder."""
        mounted = [volume for volume in service.volumes if "initdb.d" in volume.target]
        folders = [Path(self._source(volume.source, volume.named)) for volume in mounted]
        return [file for folder in folders for file in sorted(folder.glob("*.sql"))]

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
        flags = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
        # By default in /tmp, where another account could put a socket of its own first.
        filer = self._made_folder("s3") / "filer.sock"
        if len(os.fsencode(filer)) <= _LONGEST_SOCKET:
            flags.append(f"-filer.localSocket={filer}")
        return tuple(flags)

    def _postgres(self, service: Service, command: tuple[str, ...], environment: dict[str, str]) -> Process:
        """Return the server with a data folder as the image's entry point would make it."""
        data, user = self._made_folder("postgres"), postgres_user()
        prepare_data(data, user, self.database_scripts(service), environment)
        # Sockets in its own folder: the system's folder may belong to another user.
        return Process((*command, "-D", str(data), "-k", str(data), "-h", LOOPBACK), environment, user)
