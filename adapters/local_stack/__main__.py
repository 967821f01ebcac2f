"""Supervise the local stack: `python -m adapters.local_stack HOME STATE` runs its services until stopped."""

import os
import sys
from pathlib import Path

from adapters.compute.interrupts import stopping_on_signals
from adapters.local_stack import LocalStack

if __name__ == "__main__":
    with stopping_on_signals():
        home, state = map(Path, sys.argv[1:])
        LocalStack(home, dict(os.environ), state).supervise(lambda: False, print)
