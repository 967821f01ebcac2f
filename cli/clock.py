"""The time that the user has waited."""

import time

__all__ = ["seconds_since_enter"]


def seconds_since_enter() -> float:
    """Return the seconds since this process was started, with all imports."""
    import psutil  # Imported here: commands that only look do not need it.

    return max(0.0, time.time() - float(psutil.Process().create_time()))
