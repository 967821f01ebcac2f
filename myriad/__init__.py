"""Myriad in Python: `Fleet` runs and reads fleets on this machine, `Client` and `AsyncClient` call a gateway.

Importing this package takes milliseconds: what a name needs is imported when the name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.errors import MyriadError
    from myriad.fleet import Fleet
    from myriad.gateway.async_client import AsyncClient
    from myriad.gateway.client import Client
    from myriad.gateway.errors import GatewayProblemError, GatewayUnreachableError, JobFailedError, JobPendingError

__all__ = [
    "AsyncClient",
    "Client",
    "Fleet",
    "GatewayProblemError",
    "GatewayUnreachableError",
    "JobFailedError",
    "JobPendingError",
    "MyriadError",
]

_ERRORS = "myriad.gateway.errors"
_HOMES = {
    "AsyncClient": "myriad.gateway.async_client",
    "Client": "myriad.gateway.client",
    "GatewayProblemError": _ERRORS,
    "GatewayUnreachableError": _ERRORS,
    "JobFailedError": _ERRORS,
    "JobPendingError": _ERRORS,
    "Fleet": "myriad.fleet",
    "MyriadError": "domain.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'myriad' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
