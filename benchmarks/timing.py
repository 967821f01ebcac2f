"""Timings that can be compared: taken by turns in one run, told as medians and their ratio."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["PEERS", "by_turns", "peer", "peer_seconds", "ratio", "timed"]

PEERS = Path(__file__).parent / "peers"
_ENVIRONMENTS = Path(__file__).parents[1] / "var" / "peers"


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_turns(rounds: int, **runs: Callable[[], float]) -> dict[str, list[float]]:
    """Figures of each run by name, `rounds` of them, taken one after another so that all meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return found


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Median of the ratios of pairs."""
    return statistics.median(one / other for one, other in zip(theirs, ours, strict=True))


def peer(name: str, script: str, *arguments: object) -> str | None:
    """Last line that a script of `benchmarks/peers` prints in the peer's own environment; None where it has none.

    name : of the environment below `var/peers`, which `make peers` installs; empty for the one of Myriad.
    """
    python = Path(sys.executable) if not name else _ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        return None
    command = [str(python), str(PEERS / script), *map(str, arguments)]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "PYSPARK_PYTHON": str(python), "PYTHONPATH": str(PEERS)}
    done = subprocess.run(
        command, env=os.environ | one_thread | quiet, check=True, capture_output=True, text=True, timeout=1800
    )
    return done.stdout.strip().splitlines()[-1]


def peer_seconds(name: str, script: str, *arguments: object) -> tuple[float, str] | None:
    """Median seconds and version that a peer's script tells as JSON; None where it is not installed."""
    line = peer(name, script, *arguments)
    if line is None:
        return None
    told = json.loads(line)
    return statistics.median(told["seconds"]), str(told["version"])
