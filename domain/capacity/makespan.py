"""The makespan of tasks on workers that do one at a time; the largest task goes first, to the first free worker.

Source: Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17 (1969): at most 4/3 of the best
schedule there is.
"""

import heapq
import math
from collections.abc import Sequence

__all__ = ["enough_workers", "lower_bound", "makespan"]

_ROUNDING = 1e-9


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all tasks are done; seconds : of each task, in any order."""
    if workers < 1:
        raise ValueError(f"workers: {workers} is not allowed; at least 1")
    free_at = [0.0] * min(workers, max(len(seconds), 1))
    for task in sorted(seconds, reverse=True):
        heapq.heapreplace(free_at, free_at[0] + task)
    return max(free_at)


def lower_bound(seconds: Sequence[float], workers: int) -> float:
    """Lower bound of any schedule: all work shared evenly, or the largest task alone."""
    return max(math.fsum(seconds) / workers, max(seconds, default=0.0))


def enough_workers(seconds: Sequence[float]) -> int:
    """The fewest workers, at least 1, whose makespan is the largest task; more workers are not faster."""
    largest = max(seconds, default=0.0) * (1 + _ROUNDING)
    low, high = 1, max(len(seconds), 1)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if makespan(seconds, middle) <= largest else (middle + 1, high)
    return low
