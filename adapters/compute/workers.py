"""Workers as the stages see them, and those of this process."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from adapters.compute.progress import Progress, emit

__all__ = ["InlineWorkers", "LookingWorkers", "WorkPendingError", "Workers", "heaviest_first"]

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """Pool that maps one function over many items."""

    def map(
        self,
        stage: str,
        function: Callable[[T], R],
        items: Sequence[T],
        retries: int = 2,
        before: int = 0,
        weight: Callable[[T], float] | None = None,
    ) -> list[R]:
        """Return results in the order of the items; report progress under the stage's name.

        before : number of items of the stage that were completed earlier; they count in its progress.
        weight : relative cost of an item; the heaviest start first.
        Results must be small (receipts). An exception of the function is raised here after its retries; the effects
        of completed items remain. Raises ClusterError if the workers die over an item.
        """
        ...

    def limited(self, most: int | None) -> "Workers":
        """Return the same workers, limited to `most` concurrent items (None: no limit)."""
        ...


class InlineWorkers:
    """In-process workers; function, items and results are pickled, as on a cluster."""

    def map(
        self,
        stage: str,
        function: Callable[[T], R],
        items: Sequence[T],
        retries: int = 2,
        before: int = 0,
        weight: Callable[[T], float] | None = None,
    ) -> list[R]:
        results: dict[int, R] = {}
        total = before + len(items)
        emit(Progress(stage, before, total))
        for place in heaviest_first(items, weight):
            results[place] = _attempt(_pickle(function, items[place]), retries)
            emit(Progress(stage, before + len(results), total))
        return [results[place] for place in range(len(items))]

    def limited(self, most: int | None) -> Workers:
        """Return self: this process runs one item at a time."""
        return self


def heaviest_first(items: Sequence[T], weight: Callable[[T], float] | None) -> list[int]:
    """Return item positions in starting order: a heavy item that starts last would delay the whole stage."""
    places = range(len(items))
    return sorted(places, key=lambda place: -weight(items[place])) if weight else list(places)


def _pickle(function: Callable[[T], R], item: T) -> bytes:
    import cloudpickle  # type: ignore[import-untyped]

    return bytes(cloudpickle.dumps((function, item)))


def _attempt(work: bytes, retries: int) -> Any:
    import cloudpickle

    function, item = cloudpickle.loads(work)
    try:
        return cloudpickle.loads(cloudpickle.dumps(function(item)))
    except Exception:
        if retries == 0:
            raise
        return _attempt(work, retries - 1)


class WorkPendingError(Exception):
    """There is work that this process leaves to workers."""


class LookingWorkers:
    """Workers for a look whether there is work: they raise WorkPendingError at the first item.

    Attributes
    ----------
    small : stages whose items are so small that they are done in this process, one after the other.
    """

    def __init__(self) -> None:
        self.small: frozenset[str] = frozenset()

    def map(
        self,
        stage: str,
        function: Callable[[T], R],
        items: Sequence[T],
        retries: int = 2,
        before: int = 0,
        weight: Callable[[T], float] | None = None,
    ) -> list[R]:
        if items and stage not in self.small:
            raise WorkPendingError(stage)
        total = before + len(items)
        emit(Progress(stage, before, total))
        results = []
        for done, item in enumerate(items, start=before + 1):
            results.append(function(item))
            emit(Progress(stage, done, total))
        return results

    def limited(self, most: int | None) -> Workers:
        """Return self: this process does one item at a time."""
        return self
