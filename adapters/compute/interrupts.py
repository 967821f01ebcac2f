"""Handle Ctrl-C and requests to end: end a run at once, together with the processes that it started."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import resource_tracker

import psutil

__all__ = ["leaving_on_interrupt", "stopping_on_signals"]

EXIT_CODE = 130
"""Of SIGINT; like this one, those of other signals are 128 and the signal's number."""
_REQUESTS = (signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def leaving_on_interrupt(message: str) -> Iterator[None]:
    """On SIGINT, SIGTERM or SIGHUP within the block, print `message` and end this process and its descendants.

    A terminal sends SIGINT to the whole process group, so an orderly shutdown would talk to servers and workers that
    are gone. SIGINT is therefore blocked, which child processes inherit, and a dedicated thread waits for it.
    The other signals arrive here alone, and end the servers and workers by way of this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A parent that started us with SIGINT ignored (nohup, a background job) wants it ignored.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    # Blocked first: a thread that was started before would receive SIGINT.
    with nullcontext() if ignored else _leaving_on_ctrl_c(message), _leaving_on_requests(message):
        yield


@contextmanager
def _leaving_on_requests(message: str) -> Iterator[None]:
    """Handle SIGTERM and SIGHUP by a thread that reads which signals arrive.

    A handler alone would be replaced by that of Prefect, which first talks to a server that may have got the same
    signal; a blocked signal would be inherited by the processes that Prefect and Dask stop with it.
    """
    arrivals, entry = os.pipe()
    os.set_blocking(entry, False)
    heeded = [number for number in _REQUESTS if signal.getsignal(number) is not signal.SIG_IGN]
    # Any handler makes Python report the signal, also one that replaces this.
    before = {number: signal.signal(number, lambda number, _: None) for number in heeded}
    former = signal.set_wakeup_fd(entry, warn_on_full_buffer=False)
    waiting = threading.Thread(target=_read, args=(arrivals, message), name="requests to end", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(entry)
        waiting.join()
        os.close(arrivals)


def _read(arrivals: int, message: str) -> None:
    """Leave at the first request to end; return when the other end of the pipe is closed."""
    while numbers := os.read(arrivals, 1):
        if numbers[0] in _REQUESTS:
            _leave(message, 128 + numbers[0])


@contextmanager
def _leaving_on_ctrl_c(message: str) -> Iterator[None]:
    # Before blocking: a later start, as Dask would do, lets SIGINT through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    over = threading.Event()
    waiting = threading.Thread(target=_wait, args=(over, message), name="interrupts", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        over.set()
        signal.pthread_kill(waiting.ident or 0, signal.SIGINT)
        waiting.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """On SIGINT or SIGTERM, leave the block with its clean-up, then end the process with exit code 130."""

    def stop(number: int, frame: object) -> None:
        # A second signal must not interrupt the clean-up.
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        raise SystemExit(EXIT_CODE)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(over: threading.Event, message: str) -> None:
    signal.sigwait({signal.SIGINT})
    if not over.is_set():
        _leave(message)


def _leave(message: str, code: int = EXIT_CODE) -> None:
    """Print `message` and exit; writes to the file descriptors, since the interrupted code may be mid-print."""
    try:
        with suppress(OSError):
            if sys.__stdout__ is not None and sys.__stdout__.isatty():
                os.write(1, _SHOW_CURSOR + b"\n")
            os.write(2, f"{message}\n".encode())
            # Silence other threads: their errors about the vanishing processes would only alarm.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        _kill_children()
    finally:
        os._exit(code)


def _kill_children() -> None:
    """Kill all descendants, repeatedly: a dying process may have started another."""
    for _ in range(10):
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        _, alive = psutil.wait_procs(children, timeout=0.5)
        if not children and not alive:
            return
