"""The workers: a Dask cluster of our own or a running scheduler by address; or, for tests, this very process."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import cloudpickle  # type: ignore[import-untyped]
import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed, get_worker
from distributed.client import FutureCancelledError, FuturesCancelledError
from distributed.security import Security

from adapters.compute.code_version import code_digest
from adapters.compute.progress import Progress, emit
from adapters.compute.tls import check_certificates
from adapters.settings import Settings
from domain.errors import ClusterError

__all__ = ["ClusterWorkers", "InlineWorkers", "Workers", "connect", "open_workers", "security_of", "start_workers"]

T = TypeVar("T")
R = TypeVar("R")

ALLOWED_FAILURES = 10
"""How many workers may die over one item. Nodes that are taken away are no fault of the item."""
_CONNECT_S = 15.0
_STOP_S = 5.0
_ADAPTIVE = {"interval": "500ms", "target_duration": "2s", "wait_count": 4}
"""Workers are added when there is more than two seconds of work for each, and leave after two seconds without."""


class Workers(Protocol):
    """Runs one function over many items."""

    def map(
        self,
        stage: str,
        function: Callable[[T], R],
        items: Sequence[T],
        retries: int = 2,
        before: int = 0,
        weight: Callable[[T], float] | None = None,
    ) -> list[R]:
        """Results in the order of the items; reports progress under the stage's name.

        before : further items of the stage, which had been done before; they count in its progress.
        weight : how much work an item is compared with others; the heaviest are begun first.
        Results must be small (receipts). An exception of the function, after its retries, is raised here; what other
        items have done until then is theirs to keep. Raises ClusterError if the workers die over an item.
        """
        ...

    def limited(self, most: int | None) -> "Workers":
        """The same workers, which never have more than so many items at once; none: as many as they can."""
        ...


class InlineWorkers:
    """Workers that are this process: function, items and results travel pickled, as they do to a cluster."""

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
        for place in _heaviest_first(items, weight):
            results[place] = _attempt(cloudpickle.dumps((function, items[place])), retries)
            emit(Progress(stage, before + len(results), total))
        return [results[place] for place in range(len(items))]

    def limited(self, most: int | None) -> Workers:
        """One at a time is what this process does anyway."""
        return self


def _heaviest_first(items: Sequence[T], weight: Callable[[T], float] | None) -> list[int]:
    """Places of the items in the order of their start: a large one that begins last keeps all others waiting."""
    places = range(len(items))
    return sorted(places, key=lambda place: -weight(items[place])) if weight else list(places)


def _attempt(work: bytes, retries: int) -> Any:
    function, item = cloudpickle.loads(work)
    try:
        return cloudpickle.loads(cloudpickle.dumps(function(item)))
    except Exception:
        if retries == 0:
            raise
        return _attempt(work, retries - 1)


@dataclass(frozen=True)
class _Checked(Generic[T, R]):
    """Runs on workers: the function, if the worker has the coordinator's code."""

    function: Callable[[T], R]
    code: str

    def __call__(self, item: T) -> R:
        if code_digest() != self.code:
            raise ClusterError(
                f"worker {get_worker().address}: it has another version of Myriad than the coordinator; give both the "
                "same one, and start the worker again"
            )
        return self.function(item)


class ClusterWorkers:
    """Workers of a Dask cluster."""

    def __init__(self, client: Client, most: int | None = None) -> None:
        self._client, self._most = client, most

    def limited(self, most: int | None) -> Workers:
        return ClusterWorkers(self._client, most)

    def map(
        self,
        stage: str,
        function: Callable[[T], R],
        items: Sequence[T],
        retries: int = 2,
        before: int = 0,
        weight: Callable[[T], float] | None = None,
    ) -> list[R]:
        order = _heaviest_first(items, weight)
        work, waiting, futures = _Checked(function, code_digest()), iter(order), list[Future]()

        def begin(count: int) -> list[Future]:
            """In one call, so that the scheduler begins with the first."""
            chosen = [items[place] for place in islice(waiting, count)]
            new = self._client.map(work, chosen, pure=False, retries=retries, key=f"{stage}-bucket") if chosen else []
            futures.extend(new)
            return list(new)

        try:
            self._follow(stage, begin, before, len(items))
            results = dict(zip(order, self._client.gather(futures), strict=True))
        except KilledWorker as exc:
            raise ClusterError(
                f"{stage}: {ALLOWED_FAILURES + 1} workers died over the same item ({exc.task}), the last one at "
                f"{exc.last_worker.address}; most likely it needs more memory than a worker may have: raise "
                "MYRIAD_WORKER_MEMORY, or give the fleet more buckets"
            ) from exc
        except (FutureCancelledError, FuturesCancelledError) as exc:
            raise ClusterError(
                f"{stage}: the Dask scheduler went away; nothing half-written is visible, run the same command to go on"
            ) from exc
        except BaseException:
            # A cancelled run must not keep the workers of others: what is queued is dropped, what runs is ended.
            self._stop(futures)
            raise
        return [results[place] for place in range(len(items))]

    def _follow(self, stage: str, begin: Callable[[int], list[Future]], before: int, count: int) -> None:
        """Until all items are done, well or not; where there is a limit the next begins when one is done."""
        total = before + count
        emit(Progress(stage, before, total))
        running = as_completed(begin(self._most or count), loop=self._client.loop, raise_errors=False)
        for done, _ in enumerate(running, start=before + 1):
            running.update(begin(1))
            emit(Progress(stage, done, total))

    def _stop(self, futures: Sequence[Future]) -> None:
        """Cancel, and replace the processes that are at work for these futures: Python has no other way to end them."""
        keys = {future.key for future in futures if not future.done()}
        with suppress(OSError):  # Time-outs are.
            at_work = [worker for worker, held in self._client.processing().items() if keys.intersection(held)]
            self._client.cancel(list(futures), force=True)
            if at_work:
                self._client.restart_workers(at_work, timeout=_STOP_S, raise_for_error=False)


_CHATTY = (
    *(f"distributed.{part}" for part in ("batched", "comm", "core", "http.proxy", "scheduler", "worker")),
    "tornado.application",
)
_open: list[Workers] = []


@contextmanager
def open_workers(settings: Settings) -> Iterator[Workers]:
    """Workers for the block; a block inside another one shares the outer one's workers.

    Raises ClusterError if the scheduler cannot be reached or has other versions than this process, and SettingsError if
    its certificates are not valid.
    """
    if _open:
        yield _open[-1]
        return
    with start_workers(settings) as workers:
        _open.append(workers)
        try:
            yield workers
        finally:
            _open.remove(workers)


@contextmanager
def start_workers(settings: Settings) -> Iterator[Workers]:
    """Workers for the block, shared with nobody; raises as `open_workers` does."""
    quieten()
    with _client(settings) as client:
        yield ClusterWorkers(client)


def quieten() -> None:
    """Connections that end while workers leave are normal at shutdown; restarts by the nanny are still told.

    Also runs in our workers, by reference: Dask's own setting of levels comes too late for loggers that exist.
    """
    levels = {"distributed": "warning", "distributed.nanny": "warning", **dict.fromkeys(_CHATTY, "critical")}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())


def security_of(settings: Settings) -> Security | None:
    """The certificates of the settings, checked; None where connections are plain."""
    folder = settings.tls_folder
    if folder is None:
        return None
    check_certificates(folder)
    authority, certificate, key = (str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    pairs = {
        f"tls_{role}_{kind}": path
        for role in ("client", "scheduler", "worker")
        for kind, path in (("cert", certificate), ("key", key))
    }
    return Security(tls_ca_file=authority, require_encryption=True, **pairs)


@contextmanager
def connect(settings: Settings) -> Iterator[Client]:
    """A client of the scheduler at `MYRIAD_DASK_ADDRESS`, whose versions have been compared with ours."""
    address, security = settings.dask_address, security_of(settings)
    try:
        client = Client(address, set_as_default=False, security=security, timeout=_CONNECT_S)
    except (OSError, ValueError) as exc:
        raise ClusterError(
            f"MYRIAD_DASK_ADDRESS: no Dask scheduler answers at {address}: {_reason(exc)}; start one, or unset it to "
            "use workers of this machine"
        ) from exc
    with client:
        if odd := odd_versions(client):
            raise ClusterError(
                f"MYRIAD_DASK_ADDRESS: the scheduler at {address} has {odd}; give both the same versions"
            )
        yield client


def _reason(exc: BaseException) -> str:
    """What lies at the bottom of a failed connection, such as a refused certificate."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc).strip() or type(exc).__name__


def odd_versions(client: Client) -> str:
    """What the scheduler has in other versions than this process, in words; empty where nothing matters."""
    theirs = client.get_versions()["scheduler"]
    python = ".".join(str(theirs["host"]["python"]).split(".")[:2])
    found = {"python": python} | {name: theirs["packages"][name] for name in ("dask", "distributed")}
    ours = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    ours |= {"dask": version("dask"), "distributed": version("distributed")}
    return ", ".join(f"{name} {found[name]}, not {ours[name]}" for name in ours if found[name] != ours[name])


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    if settings.dask_address:
        with connect(settings) as client:
            yield client
        return
    fixed = settings.min_workers is None or settings.min_workers == settings.workers
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES}),
        LocalCluster(
            n_workers=settings.workers if fixed else settings.min_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            # There is an HTTP server nevertheless: on any free port, as 8787 may be taken, which is a warning.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=settings.worker_memory,
            **lifetime_of(settings),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        # Not by Dask's configuration: workers read that after their loggers have been made.
        client.register_worker_callbacks(quieten)
        if not fixed:
            cluster.adapt(minimum=settings.min_workers, maximum=settings.workers, **_ADAPTIVE)
        try:
            yield client
        finally:
            # A worker that is slow to end is no news to anybody.
            logging.getLogger("distributed.nanny").setLevel(logging.ERROR)


def lifetime_of(settings: Settings) -> dict[str, Any]:
    """Options of Dask's workers that have them replaced one after another."""
    if not settings.worker_lifetime:
        return {}
    from dask.utils import parse_timedelta

    seconds = parse_timedelta(settings.worker_lifetime)
    return {"lifetime": seconds, "lifetime_stagger": seconds / 10, "lifetime_restart": True}
