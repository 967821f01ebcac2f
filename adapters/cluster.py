"""The workers: a Dask cluster of our own or a running scheduler by address; or, for tests, this very process."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import cloudpickle  # type: ignore[import-untyped]
from distributed import Client, LocalCluster, as_completed

from adapters.settings import Settings
from adapters.telemetry import Progress, emit

__all__ = ["ClusterWorkers", "InlineWorkers", "Workers", "open_workers"]

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """Runs one function over many items."""

    def map(
        self, stage: str, function: Callable[[T], R], items: Sequence[T], retries: int = 2, before: int = 0
    ) -> list[R]:
        """Results in the order of the items; reports progress under the stage's name.

        before : further items of the stage, which had been done before; they count in its progress.
        Results must be small (receipts). An exception of the function, after its retries, is raised here.
        """
        ...


class InlineWorkers:
    """Workers that are this process: function, items and results travel pickled, as they do to a cluster."""

    def map(
        self, stage: str, function: Callable[[T], R], items: Sequence[T], retries: int = 2, before: int = 0
    ) -> list[R]:
        results: list[R] = []
        total = before + len(items)
        emit(Progress(stage, before, total))
        for item in items:
            results.append(_attempt(cloudpickle.dumps((function, item)), retries))
            emit(Progress(stage, before + len(results), total))
        return results


def _attempt(work: bytes, retries: int) -> Any:
    function, item = cloudpickle.loads(work)
    try:
        return cloudpickle.loads(cloudpickle.dumps(function(item)))
    except Exception:
        if retries == 0:
            raise
        return _attempt(work, retries - 1)


class ClusterWorkers:
    """Workers of a Dask cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def map(
        self, stage: str, function: Callable[[T], R], items: Sequence[T], retries: int = 2, before: int = 0
    ) -> list[R]:
        futures = self._client.map(function, items, pure=False, retries=retries, key=f"{stage}-bucket")
        total = before + len(futures)
        emit(Progress(stage, before, total))
        for done, _ in enumerate(as_completed(futures, loop=self._client.loop, raise_errors=False), start=before + 1):
            emit(Progress(stage, done, total))
        results: list[R] = self._client.gather(futures)
        return results


_CHATTY = (
    *(f"distributed.{part}" for part in ("batched", "comm", "core", "http.proxy", "scheduler", "worker")),
    "tornado.application",
)
_open: list[Workers] = []


@contextmanager
def open_workers(settings: Settings) -> Iterator[Workers]:
    """Workers for the block; a block inside another one shares the outer one's workers."""
    if _open:
        yield _open[-1]
        return
    _quieten()
    with _client(settings) as client:
        workers: Workers = ClusterWorkers(client)
        _open.append(workers)
        try:
            yield workers
        finally:
            _open.remove(workers)


def _quieten() -> None:
    """Connections that end while workers leave are normal at shutdown; restarts by the nanny are still told.

    Also runs in our workers, by reference: Dask's own setting of levels comes too late for loggers that exist.
    """
    levels = {"distributed": "warning", "distributed.nanny": "warning", **dict.fromkeys(_CHATTY, "critical")}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    if settings.dask_address:
        with Client(settings.dask_address, set_as_default=False) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=settings.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            # There is an HTTP server nevertheless: on any free port, as 8787 may be taken, which is a warning.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=settings.worker_memory,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        # Not by Dask's configuration: workers read that after their loggers have been made.
        client.register_worker_callbacks(_quieten)
        try:
            yield client
        finally:
            # A worker that is slow to end is no news to anybody.
            logging.getLogger("distributed.nanny").setLevel(logging.ERROR)
