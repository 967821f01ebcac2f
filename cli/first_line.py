"""The first line after Enter, before anything is imported that takes a while.

Commands that work print a line of their progress. For those that only look, a terminal shows a line that the first
output erases. This module imports nothing but the standard library's smallest parts.
"""

import sys
from collections.abc import Sequence

__all__ = ["erase", "show"]

_WORKING = frozenset(
    [
        "run",
        "ingest",
        "partition",
        "train",
        "promote",
        "score",
        "accuracy",
        "size",
        "rollback",
        "pin",
        "registry",
        "maintain",
    ]
)
_LOOKING = frozenset(
    [
        "new",
        "check",
        "status",
        "explain",
        "report",
        "export",
        "doctor",
        "deploy",
        "up",
        "down",
        "serve",
        "keys",
        "webhooks",
        "stack",
    ]
)
_ERASE = "\r\x1b[K"


class _Line:
    """Whether a line stands in the terminal that the next output has to erase."""

    stands = False


def show(arguments: Sequence[str]) -> None:
    """Tell the user that the command has begun."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if {"--help", "--version", "--list"} & set(arguments) or command not in _WORKING | _LOOKING:
        return
    if command in _LOOKING or sys.stdout.isatty():
        _show_in_terminal("starting" if command in _WORKING else "reading")
        return
    stream = sys.stderr if "--json" in arguments else sys.stdout
    print("   0.0 s  starting", file=stream, flush=True)


def _show_in_terminal(word: str) -> None:
    # On stderr, so that redirected output stays clean.
    if sys.stderr.isatty():
        sys.stderr.write(f"{word} ...")
        sys.stderr.flush()
        _Line.stands = True


def erase() -> None:
    """Erase the line, before the first output or at the end."""
    if _Line.stands:
        _Line.stands = False
        stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
        stream.write(_ERASE)
        stream.flush()
