"""Scale this host's workers to the load of a remote scheduler, down to zero when idle.

The scheduler reports how many workers it could keep busy; this process starts and retires them. Several hosts may serve
one scheduler; each manages its own workers.
"""

import asyncio
import logging
import platform
import secrets
import time
from collections.abc import Callable, Generator
from typing import Any

import dask
from distributed import Nanny, SpecCluster, rpc
from distributed.comm.addressing import get_address_host_port
from distributed.core import Status
from distributed.deploy.adaptive import Adaptive
from distributed.security import Security
from distributed.utils import get_ip

from adapters.compute.dask import KEPT_MEMORY, lifetime_of, quieten, security_of
from adapters.compute.worker_memory import memory_limit
from adapters.settings import Settings

__all__ = ["serve_workers"]

log = logging.getLogger(__name__)
_POLL_S = 0.2
_LOOK_S = 5.0
_RETRY_S = 2.0
_ADAPTIVE: dict[str, Any] = {"interval": "500ms", "target_duration": "2s", "wait_count": 10}
"""Workers retire after five idle seconds, so they survive the gap between two stages of a run."""


class _RunningScheduler:
    """Adapter that presents an externally started scheduler to SpecCluster."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.status = Status.running

    def __await__(self) -> Generator[Any, Any, "_RunningScheduler"]:
        async def itself() -> "_RunningScheduler":
            return self

        return itself().__await__()

    async def close(self) -> None:
        self.status = Status.closed


class _HostWorkers(SpecCluster):  # type: ignore[misc]
    """Nannies of this host, attached to a running scheduler that outlives them."""

    def __init__(self, settings: Settings, security: Security | None) -> None:
        host = f"{platform.node()}-{secrets.token_hex(3)}"
        options = {
            "nthreads": 1,
            "memory_limit": memory_limit(settings),
            "security": security,
            "death_timeout": 60,
            "host": _own_address(settings.dask_address),
            **lifetime_of(settings),
        }
        super().__init__(
            scheduler={"cls": _RunningScheduler, "options": {"address": settings.dask_address}},
            worker={"cls": Nanny, "options": options},
            security=security or Security(),
            name=host,
            shutdown_scheduler=False,
        )

    def drop_failed(self) -> None:
        """Forget workers that ended during their start; scaling would wait for them forever."""
        ended = (Status.failed, Status.closed)
        if failed := [name for name, worker in list(self.workers.items()) if worker.status in ended]:
            self.sync(self.scale_down, failed)

    def _new_worker_name(self, worker_number: int) -> str:
        return f"{self._name}-{worker_number}"


class _HostAdaptive(Adaptive):  # type: ignore[misc]
    """Adaptive scaling that ignores the workers of other hosts."""

    @property
    def observed(self) -> set[str]:
        return {name for name in self.cluster.observed if self._ours(name)}

    async def workers_to_close(self, target: int) -> list[str]:
        return [name for name in await super().workers_to_close(target) if self._ours(name)]

    def _ours(self, name: object) -> bool:
        return str(name).startswith(self.cluster._name)


def serve_workers(settings: Settings, over: Callable[[], bool], tell: Callable[[str], None]) -> None:
    """Serve the configured scheduler with `min_workers` (default 0) to `workers` workers until `over()`.

    Waits for a scheduler that is not up yet or goes away.
    """
    quieten()
    last_reason = ""
    while not over():
        security = security_of(settings)  # Reload: certificates may have been renewed.
        if reason := _absent(settings.dask_address, security):
            if last_reason != reason:
                tell(f"waiting for the scheduler at {settings.dask_address}: {reason}")
            last_reason = reason
            time.sleep(_RETRY_S)
            continue
        last_reason = ""
        _serve(settings, security, over, tell)


def _serve(
    settings: Settings, security: Security | None, over: Callable[[], bool], tell: Callable[[str], None]
) -> None:
    minimum = settings.min_workers or 0
    options = {"distributed.comm.timeouts.connect": "10s"} | KEPT_MEMORY
    with dask.config.set(options), _HostWorkers(settings, security) as cluster:
        cluster.adapt(minimum=minimum, maximum=settings.workers, Adaptive=_HostAdaptive, **_ADAPTIVE)
        tell(f"{minimum} to {settings.workers} workers for {settings.dask_address}")
        try:
            _watch(cluster, settings, security, over, tell)
        finally:
            if _absent(settings.dask_address, security):
                # The scheduler is gone: deregistering the workers would block them and crash this process.
                cluster.scheduler.status = Status.closed


def _watch(
    cluster: _HostWorkers,
    settings: Settings,
    security: Security | None,
    over: Callable[[], bool],
    tell: Callable[[str], None],
) -> None:
    """Log the number of workers until `over()`, or until the scheduler stops answering."""
    count, looked = 0, time.monotonic()
    while not over():
        cluster.drop_failed()
        if len(cluster.workers) != count:
            count = len(cluster.workers)
            tell(f"workers: {count}")
        if time.monotonic() > looked + _LOOK_S:
            looked = time.monotonic()
            if reason := _absent(settings.dask_address, security):
                tell(f"lost the scheduler: {reason}")
                return
        time.sleep(_POLL_S)


def _own_address(scheduler: str) -> str:
    """Return the address of this host that faces the scheduler; workers listen on it alone."""
    # Not urlsplit: it would misread an address without tcp://, which is allowed, as one on this host.
    return str(get_ip(*get_address_host_port(scheduler)))


def _absent(address: str, security: Security | None) -> str:
    """Return the reason why no scheduler answers at the address; empty if one does."""

    async def ask() -> None:
        arguments = security.get_connection_args("client") if security else {}
        async with rpc(address, connection_args=arguments, timeout=10) as scheduler:
            await asyncio.wait_for(scheduler.identity(), 10)

    try:
        asyncio.run(ask())
    except OSError as exc:
        return str(exc).strip() or type(exc).__name__
    return ""
