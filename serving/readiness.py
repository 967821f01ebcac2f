"""Readiness of the gateway: checked by one thread at a time, and remembered for a moment."""

import asyncio
import logging
import time
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread

from domain.errors import MyriadError

__all__ = ["Readiness"]

_LOG = logging.getLogger("myriad.gateway")
_FRESH_S = 2.0
_DEADLINE_S = 5.0


class Readiness:
    """The result of a check, no older than a moment. Whoever asks meanwhile waits for the same check."""

    def __init__(self, check: Callable[[], None], fresh_s: float = _FRESH_S, deadline_s: float = _DEADLINE_S) -> None:
        """check : raises MyriadError if the gateway cannot serve."""
        self._check, self._fresh_s, self._deadline_s = check, fresh_s, deadline_s
        self._checked_at, self._is_ready, self._problem = -float("inf"), False, ""
        self._running: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(1)

    async def is_ready(self) -> bool:
        """Tell if the gateway can serve; a check that takes too long counts as a failure."""
        if time.monotonic() - self._checked_at > self._fresh_s:
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._run())
            _, late = await asyncio.wait([self._running], timeout=self._deadline_s)
            if late:
                self._note(f"the check takes longer than {self._deadline_s:g} s")
        return self._is_ready

    async def _run(self) -> None:
        try:
            await to_thread.run_sync(self._check, limiter=self._thread)
        except MyriadError as exc:
            self._note(str(exc))
        except Exception as exc:  # noqa: BLE001  Whatever the cause: it is not ready, and the log has it.
            self._note(f"{type(exc).__name__}: {exc}")
        else:
            self._note("")

    def _note(self, problem: str) -> None:
        """Keep the result; the log gets every change once."""
        if problem and problem != self._problem:
            _LOG.warning("the gateway is not ready: %s", problem)
        elif self._problem and not problem:
            _LOG.warning("the gateway is ready again")
        self._problem, self._is_ready, self._checked_at = problem, not problem, time.monotonic()
