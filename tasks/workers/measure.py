"""Run a task on a worker and tell how long it took and what memory the worker had meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import psutil

__all__ = ["Measured", "Measuring"]

T = TypeVar("T")
R = TypeVar("R")
_SAMPLE_S = 0.005


@dataclass(frozen=True)
class Measured(Generic[R]):
    """What a task gave. before_bytes, peak_bytes : resident memory of its process."""

    result: R
    seconds: float
    before_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Measuring(Generic[T, R]):
    """A function that measures another one; can be sent to workers."""

    function: Callable[[T], R]

    def __call__(self, item: T) -> Measured[R]:
        before = _resident()
        with _watched() as seen:
            began = time.perf_counter()
            result = self.function(item)
            seconds = time.perf_counter() - began
        return Measured(result, seconds, before, max(before, _resident(), *seen))


@contextmanager
def _watched() -> Iterator[list[int]]:
    """Resident memory, looked at every few milliseconds while the block runs."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            seen.append(_resident())

    watcher = threading.Thread(target=watch, name="measure-memory", daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
