"""Identify the installed code: different code may give different results."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["code_digest"]

_PACKAGES = ("domain", "models", "adapters", "tasks")
"""Packages that determine results, looked up by name because adapters must not import tasks."""


@cache
def code_digest() -> str:
    """Return a 16-digit hex digest of the source files, equal on all hosts with the same version."""
    state = hashlib.blake2b(digest_size=8)
    for name in _PACKAGES:
        spec = find_spec(name)
        folders = spec.submodule_search_locations if spec is not None else None
        for folder in folders or ():
            for path in sorted(Path(folder).rglob("*.py")):
                state.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
                state.update(path.read_bytes())
    return state.hexdigest()
