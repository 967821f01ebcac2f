"""A run for the tests of warm processes: says where it is, and does what its environment says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

wish = os.environ["WISH"]
told = {"wish": wish, "folder": str(Path.cwd()), "pid": os.getpid(), "warm": "decimal" in sys.modules}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
if wish == "family":
    told["child"] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid
print(json.dumps(told), flush=True)
print("a word of warning", file=sys.stderr)
if wish == "fail":
    sys.exit(7)
if wish == "raise":
    raise RuntimeError("told")
if wish == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if wish in ("family", "wait"):
    time.sleep(60)
