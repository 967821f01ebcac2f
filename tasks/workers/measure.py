"""Run a function on a worker, and measure its time and the worker's memory."""

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
    """Result of a function. before_bytes, peak_bytes : resident memory of its process."""

    result: R
    seconds: float
    before_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Measuring(Generic[T, R]):
    """A function that measures another function; can be sent to workers."""

    function: Callable[[T], R]

    def __call__(self, item: T) -> Measured[R]:
        before = _resident()
        with _watched() as samples:
            began = time.perf_counter()
            result = self.function(item)
            seconds = time.perf_counter() - began
        return Measured(result, seconds, before, max(before, _resident(), *samples))


@contextmanager
def _watched() -> Iterator[list[int]]:
    """Resident memory, sampled every few milliseconds while the block runs."""
    samples, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            samples.append(_resident())

    watcher = threading.Thread(target=watch, name="measure-memory", daemon=True)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
