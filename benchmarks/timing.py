"""Comparable timings: taken alternately in one run, reported as medians and ratios."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["PEERS", "by_turns", "installed", "peer", "peer_seconds", "ratio", "timed", "versions"]

PEERS = Path(__file__).parent / "peers"
_ENVIRONMENTS = Path(__file__).parents[1] / "var" / "peers"


def timed(work: Callable[[], object]) -> float:
    """Measure the seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_turns(rounds: int, **runs: Callable[[], float]) -> dict[str, list[float]]:
    """Take `rounds` figures of each run, alternating between the runs so that all meet the same machine."""
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            figures[name].append(run())
    return figures


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median of the ratios of pairs."""
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def installed(name: str) -> bool:
    """Return True if a peer has its environment in `var/peers`, as `make peers` installs it; '' is Myriad's own."""
    return _python(name).exists()


def versions(name: str, *packages: str) -> str:
    """List packages of a peer's environment with their versions, such as `ray 2.60.0`."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([str(_python(name)), "-c", code, *packages], check=True, capture_output=True, text=True)
    return ", ".join(f"{package} {number}" for package, number in zip(packages, done.stdout.split(), strict=True))


def peer(name: str, script: str, *arguments: object) -> str:
    """Run a script of `benchmarks/peers` in the peer's environment and return the last line that it prints.

    Raises RuntimeError with the script's error output if it fails.
    """
    python = _python(name)
    command = [str(python), str(PEERS / script), *map(str, arguments)]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "PYSPARK_PYTHON": str(python), "PYTHONPATH": str(PEERS)}
    done = subprocess.run(command, env=os.environ | one_thread | quiet, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise RuntimeError(f"{script} failed in the environment {name or 'of Myriad'}:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def peer_seconds(name: str, script: str, *arguments: object) -> float:
    """Return the median of the seconds that a peer's script prints as JSON."""
    return float(statistics.median(json.loads(peer(name, script, *arguments))["seconds"]))


def _python(name: str) -> Path:
    return _ENVIRONMENTS / name / "bin" / "python" if name else Path(sys.executable)
