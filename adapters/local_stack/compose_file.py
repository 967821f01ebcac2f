"""Read the services of a compose file and substitute its variables.

Supports the part of the Compose specification that our own file needs. An unknown key is an error, so that a start
without containers never silently ignores anything in the file.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from domain.config.yaml_text import parse_yaml
from domain.errors import SettingsError

__all__ = ["Condition", "Health", "Service", "Volume", "read_compose"]

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]

# Keys that apply to containers only, not to processes.
_OF_CONTAINERS = {
    "build",
    "init",
    "cap_drop",
    "security_opt",
    "user",
    "read_only",
    "tmpfs",
    "deploy",
    "mem_limit",
    "networks",
    "network_mode",
    "pids_limit",
    "shm_size",
    "stop_grace_period",
}
_KNOWN = {"image", "entrypoint", "command", "environment", "volumes", "ports", "healthcheck", "depends_on", "restart"}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:\?|:-)(?P<rest>[^}]*))?\}")
_SECONDS = re.compile(r"(\d+)s")


@dataclass(frozen=True)
class Volume:
    """Mount at `target` in a container: the named volume `source`, or the path `source` of the checkout."""

    source: str
    target: str
    named: bool


@dataclass(frozen=True)
class Health:
    """Health check: a command that succeeds once the service is ready. Times in seconds."""

    command: tuple[str, ...]
    interval_s: float
    timeout_s: float
    retries: int


@dataclass(frozen=True)
class Service:
    """One service. lasting : True if it runs indefinitely and is restarted when it ends.

    after : services to wait for, with the condition per service; without optional ones. ports : published ports.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    ports: tuple[int, ...] = ()
    health: Health | None = None
    after: Mapping[str, Condition] = field(default_factory=dict)
    lasting: bool = True


def read_compose(file: Path, variables: Mapping[str, str]) -> list[Service]:
    """Return the services of the file in dependency order.

    variables : values for `${NAME}`, `${NAME:-default}` and `${NAME:?what to do}`.
    Raises SettingsError that names all missing variables, or an unsupported key.
    """
    try:
        content = parse_yaml(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise SettingsError(f"{file}: cannot be read: {exc}") from exc
    missing: dict[str, str] = {}
    filled = _filled(content["services"], variables, missing)
    if missing:
        message = "\n".join(f"{name}: not set; {way_out}" for name, way_out in missing.items())
        raise SettingsError(message)
    services = {name: _service(file, name, entry) for name, entry in filled.items()}
    return _in_order(services)


def _filled(value: Any, variables: Mapping[str, str], missing: dict[str, str]) -> Any:
    """Substitute the variables in all strings of `value`; add required ones that are not set to `missing`."""
    if isinstance(value, dict):
        return {key: _filled(item, variables, missing) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables, missing) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        text = variables.get(match["name"], "")
        if not text and match["rule"] == ":?":
            missing[match["name"]] = match["rest"]
        return text or (match["rest"] or "" if match["rule"] == ":-" else "")

    return _VARIABLE.sub(fill, value).replace("$$", "$")


def _service(file: Path, name: str, entry: Mapping[str, Any]) -> Service:
    if unsupported := sorted(entry.keys() - _KNOWN - _OF_CONTAINERS):
        raise SettingsError(f"{file}: service {name}: {', '.join(unsupported)} is not supported by `myriad stack`")
    command = (*_words(entry.get("entrypoint", [])), *_words(entry.get("command", [])))
    return Service(
        name=name,
        image=entry["image"],
        command=command,
        environment={key: str(value) for key, value in entry.get("environment", {}).items()},
        volumes=tuple(map(_volume, entry.get("volumes", []))),
        ports=tuple(int(port.rpartition(":")[0].rpartition(":")[2]) for port in entry.get("ports", [])),
        health=_health(entry.get("healthcheck")),
        after={
            other: rule["condition"]
            for other, rule in entry.get("depends_on", {}).items()
            if rule.get("required", True)
        },
        lasting=entry.get("restart", "no") != "no",
    )


def _words(value: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, value))


def _volume(text: str) -> Volume:
    source, target, *_ = text.split(":")
    return Volume(source, target, named=not source.startswith("."))


def _health(entry: Mapping[str, Any] | None) -> Health | None:
    if entry is None:
        return None
    kind, *command = entry["test"]
    if kind != "CMD":
        raise SettingsError(f"healthcheck {entry['test']}: only CMD is supported by `myriad stack`")
    interval, timeout = (float(_SECONDS.fullmatch(entry[key])[1]) for key in ("interval", "timeout"))  # type: ignore[index]
    return Health(tuple(command), interval, timeout, int(entry["retries"]))


def _in_order(services: Mapping[str, Service]) -> list[Service]:
    ordered: list[Service] = []
    while len(ordered) < len(services):
        placed = {service.name for service in ordered}
        ready = [
            service for name, service in services.items() if name not in placed and placed.issuperset(service.after)
        ]
        if not ready:
            raise SettingsError(f"services wait for each other: {', '.join(services.keys() - placed)}")
        ordered += ready
    return ordered
