"""SIGKILL to a run and all that it has started."""

import os
import signal
import subprocess
from contextlib import suppress

import psutil

__all__ = ["kill_family"]


def kill_family(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process group, and what has left it: servers and workers have groups of their own."""
    below: list[psutil.Process] = []
    with suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in below:
        with suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(below, timeout=10)
    process.wait()
