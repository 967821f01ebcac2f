"""Identity of the installed code: other code may give other results."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["code_digest"]

_PACKAGES = ("domain", "models", "adapters", "tasks")
"""Packages that decide results, found by name, since adapters do not import tasks."""


@cache
def code_digest() -> str:
    """Return 16 hex digits over the source files: the same on every host with the same version."""
    state = hashlib.blake2b(digest_size=8)
    for name in _PACKAGES:
        spec = find_spec(name)
        folders = spec.submodule_search_locations if spec is not None else None
        for folder in folders or ():
            for path in sorted(Path(folder).rglob("*.py")):
                state.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
                state.update(path.read_bytes())
    return state.hexdigest()
