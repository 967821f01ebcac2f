"""The supervisor of a server stack: `python -m adapters.services HOME STATE` runs its services until it is stopped."""

import os
import sys
from pathlib import Path

from adapters.interrupts import stopping_on_signals
from adapters.services import ServerStack

if __name__ == "__main__":
    with stopping_on_signals():
        home, state = map(Path, sys.argv[1:])
        ServerStack(home, dict(os.environ), state).supervise(lambda: False, print)
