"""The memory limit of a worker, and whether a worker can work within it."""

import logging

from distributed.system import MEMORY_LIMIT
from distributed.worker_memory import parse_memory_limit

from adapters.settings import LEAST_WORKER_BYTES, Settings
from domain.errors import SettingsError
from domain.reporting.formatting import format_bytes

__all__ = ["memory_limit"]


def memory_limit(settings: Settings) -> int:
    """Return the limit of a worker in bytes, 0 for none; SettingsError if it is too small for any task."""
    limit = parse_memory_limit(settings.worker_memory, 1, logger=logging.getLogger(__name__)) or 0
    if 0 < limit < LEAST_WORKER_BYTES:
        workers = max(1, MEMORY_LIMIT // LEAST_WORKER_BYTES)
        raise SettingsError(
            f"MYRIAD_WORKER_MEMORY: {settings.worker_memory} gives a worker {format_bytes(limit)} of this machine's "
            f"{format_bytes(MEMORY_LIMIT)}, and it needs {format_bytes(LEAST_WORKER_BYTES)}; set "
            f"MYRIAD_WORKER_MEMORY={LEAST_WORKER_BYTES // 10**6}MB, and MYRIAD_WORKERS to at most {workers}"
        )
    return limit
