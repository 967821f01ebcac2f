"""Supervise the local stack: `python -m adapters.local_stack HOME STATE` runs its services until stopped."""

import logging
import os
import sys
from pathlib import Path

from adapters.compute.interrupts import stopping_on_signals
from adapters.local_stack import LocalStack
from adapters.logs import configure_logging

if __name__ == "__main__":
    configure_logging("json" if os.environ.get("MYRIAD_LOG_FORMAT") == "json" else "text")
    log = logging.getLogger("myriad.stack")
    with stopping_on_signals():
        home, state = map(Path, sys.argv[1:])
        LocalStack(home, dict(os.environ), state).supervise(lambda: False, lambda text: log.info("%s", text))
