"""Progress of a run as values: stages emit them, displays (terminal, Prefect) subscribe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

__all__ = ["PeakMemory", "Progress", "emit", "subscribed"]


@dataclass(frozen=True)
class Progress:
    """Completed and total units (files or buckets) of a stage."""

    stage: str
    done: int
    total: int
    note: str = ""


_listeners: list[Callable[[Progress], None]] = []


def emit(progress: Progress) -> None:
    """Send progress to every subscriber."""
    for listener in _listeners:
        listener(progress)


@contextmanager
def subscribed(listener: Callable[[Progress], None]) -> Iterator[None]:
    """Send progress to `listener` within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class PeakMemory:
    """Largest resident memory of this process and its children together, sampled when asked."""

    def __init__(self) -> None:
        self.peak_bytes = 0

    def sample(self) -> int:
        """Measure once; return the peak so far in bytes."""
        me = psutil.Process()
        total = 0
        for process in [me, *me.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_bytes = max(self.peak_bytes, total)
        return self.peak_bytes
