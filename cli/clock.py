"""The time that the user has waited."""

import os
import time
from pathlib import Path

__all__ = ["seconds_since_enter"]


def seconds_since_enter() -> float:
    """Return the seconds since this process was started, with all imports."""
    try:
        # Both count from the start of the machine, which psutil knows in whole seconds only.
        ticks = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):  # Not on Linux.
        import psutil

        return max(0.0, time.time() - float(psutil.Process().create_time()))
