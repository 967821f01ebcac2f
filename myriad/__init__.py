"""Myriad in Python: `Fleet` runs and reads fleets on this machine, `Client` and `AsyncClient` call a gateway.

Importing this package takes milliseconds: what a name needs is imported when the name is used.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
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

_PACKAGES = ("domain", "models", "adapters", "tasks", "flows")
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
    _require_own_packages()
    return getattr(import_module(_HOMES[name]), name)


def _require_own_packages() -> None:
    """Raise ImportError if a module of the user's, such as models.py beside the notebook, hides one of ours."""
    root = Path(__file__).parents[1]
    for name in _PACKAGES:
        spec = find_spec(name)
        place = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), "")) if spec is not None else root
        if root / name not in (place, place.parent):
            raise ImportError(f"{place} hides Myriad's package {name}; rename it, or start Python in another folder")


def __dir__() -> list[str]:
    return sorted(__all__)
