"""Prefect's process worker, with runs handed to a pool of warm processes."""

import os
import shlex
from collections.abc import Callable
from typing import Any, ClassVar

import anyio
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from adapters.orchestration.warm_pool import WarmPool

__all__ = ["serve_pool"]


class _Configuration(ProcessJobConfiguration):
    """Start runs by our command, unless their deployment or pool has a command of its own."""

    client: ClassVar[str] = ""

    def prepare_for_flow_run(self, *args: Any, **kwargs: Any) -> None:
        if self.command is None:
            self.command = self.client
        super().prepare_for_flow_run(*args, **kwargs)


class _Worker(ProcessWorker):
    job_configuration = _Configuration

    @classmethod
    def __dispatch_key__(cls) -> str:
        """Register beside Prefect's own worker, which serves pools of the same type."""
        return "myriad"


def serve_pool(pool: str, name: str, limit: int, warm: int, tell: Callable[[str], None]) -> None:
    """Serve a process work pool of a Prefect server until a signal arrives, then end the runs in progress.

    Parameters
    ----------
    pool : str
        Name of the work pool; created if it does not exist.
    name : str
        Name of the worker in Prefect.
    limit : int
        Maximum number of concurrent runs.
    warm : int
        Warm processes to keep ready.
    tell : callable
        Receives the messages of the worker.
    """
    setup_signal_handlers_worker(os.getpid(), "the worker", tell)
    with WarmPool(warm) as warm_pool:
        _Configuration.client = shlex.join(warm_pool.client)
        worker = _Worker(work_pool_name=pool, name=name, limit=limit)
        anyio.run(_serve, worker, tell)


async def _serve(worker: ProcessWorker, tell: Callable[[str], None]) -> None:
    await worker.start(printer=tell)
