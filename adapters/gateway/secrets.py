"""Secrets of the gateway: signing of links, of outgoing webhooks, and of what senders of triggers sign.

A setting may hold several secrets, separated by commas, so that they can be changed without downtime: the first one
signs links, all of them sign webhooks, and all of them are accepted.
"""

import base64
import binascii
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from adapters.settings import Settings
from domain.errors import SettingsError
from domain.gateway.secret_strength import weakness

__all__ = [
    "check_trigger_secrets",
    "link_secrets",
    "trigger_secrets",
    "trigger_variable",
    "webhook_secrets",
]

TRIGGER_PREFIX = "MYRIAD_HOOK_SECRET_"
_MOST = 4
_LEAST_LINK_CHARACTERS, _LEAST_WEBHOOK_BYTES = 32, 24


def link_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Return the secrets that sign links: of the setting, or random and kept in a file of its owner alone.

    Raises
    ------
    SettingsError
        Names variable or file, the weakness, and the way out.
    """
    if settings.gateway_secret is not None:
        name, text = "MYRIAD_GATEWAY_SECRET", settings.gateway_secret.get_secret_value()
    else:
        path = settings.path("var/gateway/secret")
        _create(path)
        name, text = str(path), _content(path)
    values = _split(name, text)
    for value in values:
        if len(value) < _LEAST_LINK_CHARACTERS:
            raise SettingsError(
                f"{name}: a secret has {len(value)} characters, and at least {_LEAST_LINK_CHARACTERS} are needed; make "
                "one with: openssl rand -hex 32"
            )
        _check_strength(name, value)
    return tuple(value.encode() for value in values)


def webhook_secrets(name: str, text: str) -> tuple[str, ...]:
    """Return the secrets of a variable for Standard Webhooks. Raises SettingsError for one that is weak or none."""
    values = _split(name, text)
    for value in values:
        encoded = value.removeprefix("whsec_")
        try:
            size = len(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if not value.startswith("whsec_") or size < _LEAST_WEBHOOK_BYTES:
            raise SettingsError(
                f"{name}: no secret of Standard Webhooks; give whsec_ and 24 to 64 bytes as base64: "
                'echo "whsec_$(openssl rand -base64 32)"'
            )
        _check_strength(name, encoded)
    return values


def trigger_variable(trigger: str) -> str:
    """Return the name of the variable with the secrets of a trigger's sender; `a-b` and `a.b` have the same one."""
    return TRIGGER_PREFIX + re.sub("[^A-Z0-9]", "_", trigger.upper())


def trigger_secrets(trigger: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets of a trigger's sender; none if its variable is not set or empty."""
    name = trigger_variable(trigger)
    text = environment.get(name)
    return webhook_secrets(name, text) if text else ()


def check_trigger_secrets(environment: Mapping[str, str]) -> None:
    """Raise SettingsError for a secret of a trigger that is there and cannot be used."""
    for name in sorted(environment):
        if name.startswith(TRIGGER_PREFIX) and environment[name]:
            webhook_secrets(name, environment[name])


def _split(name: str, text: str) -> tuple[str, ...]:
    values = tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())
    if not values:
        raise SettingsError(f"{name}: it is empty, and anybody could sign; {_way_out(name)}")
    if len(values) > _MOST:
        raise SettingsError(f"{name}: it has {len(values)} secrets, separated by commas; at most {_MOST} are allowed")
    return values


def _check_strength(name: str, value: str) -> None:
    if problem := weakness(value):
        raise SettingsError(f"{name}: a secret is too weak: {problem}")


def _way_out(name: str) -> str:
    if "/" in name:
        return "delete the file: the gateway makes a new one, and links that were signed before end"
    return "unset it, or give a secret: openssl rand -hex 32"


def _create(path: Path) -> None:
    """Make the file with a random secret, whole or not at all, unless it exists; several gateways may do so at once."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, draft = tempfile.mkstemp(prefix=".secret.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # Another gateway was first.
    finally:
        os.unlink(draft)  # noqa: PTH108


def _content(path: Path) -> str:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SettingsError(
            f"{path}: it has mode {mode:04o}, so that other accounts can use it; run: chmod 600 {path}. If others work "
            "on this machine, delete it instead: the gateway makes a new one, and links that were signed before end"
        )
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeError) as exc:
        raise SettingsError(f"{path}: it cannot be read as a secret: {exc}; {_way_out(str(path))}") from exc
