"""Takes to import as long as there is a file HOLD, so that a test says when a process stands by."""

import os
import time
from pathlib import Path

while "HOLD" in os.environ and Path(os.environ["HOLD"]).exists():
    time.sleep(0.02)
