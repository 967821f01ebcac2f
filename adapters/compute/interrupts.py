"""Ctrl-C: a run leaves at once, and takes the processes that it started with it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker

import psutil

__all__ = ["leaving_on_interrupt", "stopping_on_signals"]

EXIT_CODE = 130
_SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def leaving_on_interrupt(message: str) -> Iterator[None]:
    """SIGINT within the block prints `message` and ends this process and all that it started, with exit code 130.

    A terminal sends SIGINT to all of them: whoever tidied up would do so with servers and workers that are gone. So
    SIGINT is blocked, which processes that are started inherit, and a thread of its own waits for it.
    """
    ours = threading.current_thread() is threading.main_thread()
    # Whoever started us with SIGINT ignored (nohup, a job in the background) wants that.
    if not ours or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    # Before the block: starting it later, as Dask would, lets SIGINT through again.
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
    """SIGINT and SIGTERM end the block, which can tidy up, and then the process, with exit code 130."""

    def stop(number: int, frame: object) -> None:
        # Tidying up is not interrupted once more.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(EXIT_CODE)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait(over: threading.Event, message: str) -> None:
    signal.sigwait({signal.SIGINT})
    if not over.is_set():
        _leave(message)


def _leave(message: str) -> None:
    """Straight to the file descriptors: the interrupted code may be in the middle of a print."""
    try:
        with suppress(OSError):
            if sys.__stdout__ is not None and sys.__stdout__.isatty():
                os.write(1, _SHOW_CURSOR + b"\n")
            os.write(2, f"{message}\n".encode())
            # What other threads say of the processes that vanish below would only frighten.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        _kill_children()
    finally:
        os._exit(EXIT_CODE)


def _kill_children() -> None:
    """Until none is left: one that is being killed may have started another."""
    for _ in range(10):
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        _, alive = psutil.wait_procs(children, timeout=0.5)
        if not children and not alive:
            return
