"""Myriad in Python: `Fleet` runs and reads fleets on this machine.

Importing this package takes milliseconds: what a name needs is imported when the name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.errors import MyriadError
    from myriad.fleet import Fleet

__all__ = ["Fleet", "MyriadError"]

_HOMES = {
    "Fleet": "myriad.fleet",
    "MyriadError": "domain.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'myriad' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
