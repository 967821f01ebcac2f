"""Prefect's process worker with processes that are started ahead: a run begins at once, and has a process of its own.

Starting Python and importing what flows need takes seconds. Here a standby process has done so before a run comes; it
does one run and ends, and meanwhile the next one gets ready. A run that finds none starts as Prefect starts it.
"""

from adapters.resident._hub import Hub
from adapters.resident._worker import serve_pool

__all__ = ["Hub", "serve_pool"]
