"""The checks of `myriad doctor --security`: what is open on this machine that should not be. To add one, list it here.

Nothing is written, no server is called, and no secret is quoted. What is not of this machine, such as the rights of a
bucket or a firewall, is not seen.
"""

from collections.abc import Callable, Iterator

from adapters.health import probes
from adapters.health.credentials import credentials
from adapters.health.listeners import listeners
from adapters.health.private_files import private_files
from adapters.health.roots import roots
from adapters.health.transport import transport
from adapters.settings import Settings
from domain.checks.health import Check

__all__ = ["SECURITY_PROBES"]

SECURITY_PROBES: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
    ("files", private_files),
    ("secrets", credentials),
    ("ports", listeners),
    ("transport", transport),
    ("inputs", roots),
    ("telemetry", probes.telemetry),
)
"""Probes by part, in the order of their checks."""
