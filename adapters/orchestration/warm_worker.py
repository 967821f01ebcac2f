"""Prefect's process worker, whose runs are handed to standby processes."""

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
    """A run starts by our command, unless its deployment or pool has a command of its own."""

    client: ClassVar[str] = ""

    def prepare_for_flow_run(self, *given: Any, **named: Any) -> None:
        if self.command is None:
            self.command = self.client
        super().prepare_for_flow_run(*given, **named)


class _Worker(ProcessWorker):
    job_configuration = _Configuration

    @classmethod
    def __dispatch_key__(cls) -> str:
        """In Prefect's list of workers beside its own one, which serves pools of the same type."""
        return "myriad"


def serve_pool(pool: str, name: str, limit: int, spares: int, tell: Callable[[str], None]) -> None:
    """Serve a pool of processes on a Prefect server until a signal comes; runs that are at work are ended then.

    pool : made if it is not there. limit : runs at a time. spares : standby processes.
    """
    setup_signal_handlers_worker(os.getpid(), "the worker", tell)
    with WarmPool(spares) as hub:
        _Configuration.client = shlex.join(hub.client)
        worker = _Worker(work_pool_name=pool, name=name, limit=limit)
        anyio.run(_serve, worker, tell)


async def _serve(worker: ProcessWorker, tell: Callable[[str], None]) -> None:
    await worker.start(printer=tell)
