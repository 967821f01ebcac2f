"""Manage processes that outlive the command that started them, identified by pid and start time."""

import ctypes
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

__all__ = ["SAME_START_S", "Known", "alive", "await_end", "die_with_parent", "end_family"]

SAME_START_S = 2.0
"""Tolerance for start times: they shift a little when the system clock is set."""
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Known:
    """Identity of a process; the start time distinguishes it from a later process with the same pid."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Known":
        return cls(pid, psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """Return the process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
        except psutil.NoSuchProcess:
            return None
        return process if same and alive(process) else None


def alive(process: psutil.Process) -> bool:
    """Return True if the process is running; a zombie is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end_family(process: psutil.Process, grace_s: float, gently: signal.Signals = signal.SIGTERM) -> None:
    """Signal a process; after `grace_s` kill it and its remaining descendants."""
    family = [process]
    with suppress(psutil.Error):
        family += process.children(recursive=True)
        process.send_signal(gently)
        await_end([process], grace_s)
        family += process.children(recursive=True)
    for member in family:
        with suppress(psutil.Error):
            member.kill()
    await_end(family, grace_s)


def await_end(processes: Sequence[psutil.Process], limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while any(alive(process) for process in processes) and time.monotonic() < end:
        time.sleep(_POLL_S)


def die_with_parent() -> None:
    """Have a child receive SIGTERM when its parent dies (Linux only); for use as `preexec_fn`."""
    # A background parent ignores SIGINT; a child that inherits this could not be stopped gracefully.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
