"""Output of `myriad stack logs`: the end of each log."""

from collections import deque
from pathlib import Path

__all__ = ["print_tail"]


def print_tail(name: str, path: Path, lines: int) -> None:
    """Print the last lines of a log below its name and place."""
    with path.open(encoding="utf-8", errors="replace") as log:
        tail = deque(log, maxlen=lines)
    print(f"== {name}: {path}")
    for line in tail:
        print(line.rstrip("\n"))
