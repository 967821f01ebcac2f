"""Workers of our own cluster: what they and their end print."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import adapters.cluster as cluster
from adapters.settings import Settings

ROOT = Path(__file__).parents[2]


def levels(_):
    return {name: logging.getLogger(name).level for name in ("distributed.worker", "distributed.core", "distributed")}


def main():
    with cluster.open_workers(Settings(workers=1)) as workers:
        print(workers.map("levels", levels, [0])[0])


def test_workers_are_quiet_and_a_taken_port_is_no_warning():
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        except OSError:
            pass  # Somebody else has it: taken all the same.
        done = subprocess.run(
            [sys.executable, __file__],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stderr == ""
    assert done.stdout.strip() == str(
        {"distributed.worker": logging.CRITICAL, "distributed.core": logging.CRITICAL, "distributed": logging.WARNING}
    )


if __name__ == "__main__":
    main()
