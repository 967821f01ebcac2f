"""Kill a run and every process that it has started."""

import os
import signal
import subprocess
from contextlib import suppress

import psutil

__all__ = ["kill_family"]


def kill_family(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGKILL to the process group and to all descendants: servers and workers have groups of their own."""
    descendants: list[psutil.Process] = []
    with suppress(psutil.Error):
        descendants = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for member in descendants:
        with suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(descendants, timeout=10)
    process.wait()
