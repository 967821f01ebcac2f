"""Workers of a Dask cluster: a private one, or a running scheduler by address."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Any, Generic, TypeVar

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed, get_worker
from distributed.client import FutureCancelledError, FuturesCancelledError
from distributed.security import Security

from adapters.compute.code_version import code_digest
from adapters.compute.progress import Progress, emit
from adapters.compute.tls import check_certificates
from adapters.compute.worker_memory import memory_limit
from adapters.compute.workers import InlineWorkers, Workers, heaviest_first
from adapters.settings import Settings
from domain.errors import ClusterError

__all__ = ["ClusterWorkers", "InlineWorkers", "Workers", "connect", "open_workers", "security_of", "start_workers"]

T = TypeVar("T")
R = TypeVar("R")

ALLOWED_FAILURES = 10
"""Worker deaths tolerated per item; preempted nodes are not the item's fault."""
_CONNECT_S = 15.0
_STOP_S = 5.0
_HEALTH = ["distributed.http.health"]
_ONLY_HEALTH = {"distributed.scheduler.http.routes": _HEALTH, "distributed.worker.http.routes": _HEALTH}
"""Pages of our own scheduler and workers: the others tell any user of the machine about tasks and their results."""
KEPT_MEMORY = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 128 << 20,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 32 << 20,
}
"""Workers keep up to 128 MiB of freed memory. With Dask's default of 64 KiB, every array goes back to the kernel, and
the next one is got page by page: in long series, that took a third of the time of a training."""
_ADAPTIVE = {"interval": "500ms", "target_duration": "2s", "wait_count": 4}
"""Workers are added beyond two seconds of work per worker, and retire after two idle seconds."""


@dataclass(frozen=True)
class _Checked(Generic[T, R]):
    """Function for workers that first compares the worker's code with the coordinator's."""

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
        order = heaviest_first(items, weight)
        work, waiting, futures = _Checked(function, code_digest()), iter(order), list[Future]()

        def begin(count: int) -> list[Future]:
            """Submit the next items in one call, so that the scheduler starts with the first."""
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
            # A cancelled run must not occupy shared workers: drop its queued items and end its running ones.
            self._stop(futures)
            raise
        return [results[place] for place in range(len(items))]

    def _follow(self, stage: str, begin: Callable[[int], list[Future]], before: int, count: int) -> None:
        """Wait until all items have succeeded or failed; under a limit, start the next whenever one ends."""
        total = before + count
        emit(Progress(stage, before, total))
        running = as_completed(begin(self._most or count), loop=self._client.loop, raise_errors=False)
        for done, _ in enumerate(running, start=before + 1):
            running.update(begin(1))
            emit(Progress(stage, done, total))

    def _stop(self, futures: Sequence[Future]) -> None:
        """Cancel the futures and restart their busy workers: Python has no other way to stop running code."""
        keys = {future.key for future in futures if not future.done()}
        with suppress(OSError):  # Includes timeouts.
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
    """Open workers for the block; a nested block shares the outer block's workers.

    Raises ClusterError if the scheduler cannot be reached or its versions differ from ours, and SettingsError if its
    certificates are not valid.
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
    """Start unshared workers for the block. Raises as `open_workers` does."""
    quieten()
    with _client(settings) as client:
        yield ClusterWorkers(client)


def quieten() -> None:
    """Silence errors of closing connections, which are normal at shutdown; nanny restarts are still logged.

    Also runs in the workers, by reference: Dask's own logging configuration comes too late for existing loggers.
    """
    levels = {"distributed": "warning", "distributed.nanny": "warning", **dict.fromkeys(_CHATTY, "critical")}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level.upper())


def security_of(settings: Settings) -> Security | None:
    """Check the configured certificates and return them for Dask; None if connections are not encrypted."""
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
    """Connect to the scheduler at `MYRIAD_DASK_ADDRESS`. Raises ClusterError if unreachable or its versions differ."""
    address, security = settings.dask_address, security_of(settings)
    try:
        client = Client(address, set_as_default=False, security=security, timeout=_CONNECT_S)
    except (OSError, ValueError) as exc:
        raise ClusterError(
            f"MYRIAD_DASK_ADDRESS: no Dask scheduler answers at {address}: {_reason(exc)}; start one, or unset it to "
            "use workers of this machine"
        ) from exc
    with client:
        if differences := odd_versions(client):
            raise ClusterError(
                f"MYRIAD_DASK_ADDRESS: the scheduler at {address} has {differences}; give both the same versions"
            )
        yield client


def _reason(exc: BaseException) -> str:
    """Return the root cause of a failed connection, such as a refused certificate."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc).strip() or type(exc).__name__


def odd_versions(client: Client) -> str:
    """Describe the scheduler's versions that differ from this process; empty if none does."""
    theirs = client.get_versions()["scheduler"]
    python = ".".join(str(theirs["host"]["python"]).split(".")[:2])
    scheduler_versions = {"python": python} | {name: theirs["packages"][name] for name in ("dask", "distributed")}
    own_versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    own_versions |= {"dask": version("dask"), "distributed": version("distributed")}
    return ", ".join(
        f"{name} {scheduler_versions[name]}, not {own_versions[name]}"
        for name in own_versions
        if scheduler_versions[name] != own_versions[name]
    )


@contextmanager
def _client(settings: Settings) -> Iterator[Client]:
    if settings.dask_address:
        with connect(settings) as client:
            yield client
        return
    fixed = settings.min_workers is None or settings.min_workers == settings.workers
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES} | _ONLY_HEALTH | KEPT_MEMORY),
        LocalCluster(
            n_workers=settings.workers if fixed else settings.min_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            # Certificates in memory, for this cluster alone: whoever speaks to a scheduler may run code as its owner.
            security=Security.temporary(),
            dashboard_address=None,
            # An HTTP server starts regardless: use any free port, since a taken 8787 causes a warning.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit=memory_limit(settings),
            **lifetime_of(settings),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        # Not by Dask's configuration: workers read it after creating their loggers.
        client.register_worker_callbacks(quieten)
        if not fixed:
            cluster.adapt(minimum=settings.min_workers, maximum=settings.workers, **_ADAPTIVE)
        try:
            yield client
        finally:
            # Do not warn about workers that are slow to end.
            logging.getLogger("distributed.nanny").setLevel(logging.ERROR)


def lifetime_of(settings: Settings) -> dict[str, Any]:
    """Return the options with which Dask replaces its workers one by one."""
    if not settings.worker_lifetime:
        return {}
    from dask.utils import parse_timedelta

    seconds = parse_timedelta(settings.worker_lifetime)
    return {"lifetime": seconds, "lifetime_stagger": seconds / 10, "lifetime_restart": True}
