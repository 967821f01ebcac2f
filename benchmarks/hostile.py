"""A gateway under attack: how long a client with a key waits, and how much memory the gateway takes.

The gateway runs as `myriad serve` does, with its default limits and an identity provider that never answers. 1,000
hostile connections of one kind at a time come from the same address as the client, and each is made again when it is
closed. The client lists endpoints, about 15 times per second on a kept connection, by turns with nobody else there.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import describe
from tests.support.attacker import KINDS
from tests.support.besieged import Times, besieged

__all__ = ["main"]

_CONNECTIONS = 1_000
_SECONDS = 10.0


def main(connections: int = _CONNECTIONS, seconds: float = _SECONDS) -> list[str]:
    """Times of the client for each kind of attack; lines of Markdown."""
    lines = [*describe("python -m benchmarks hostile"), ""]
    lines += [
        "| attack | quiet p50 | p50 | p99 | failed | memory | connections, requests |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(prefix="myriad-hostile-") as folder, besieged(Path(folder)) as gateway:
        for kind in KINDS:
            quiet = gateway.measure(seconds / 2)
            times = gateway.measure(seconds, kind, connections)
            lines.append(_row(kind, quiet, times))
            print(lines[-1], flush=True)
        size = gateway.log.stat().st_size
    return [
        *lines,
        "",
        f"{connections:,} connections of each kind for {seconds:g} s; log of the gateway: {size:,} bytes.",
    ]


def _row(kind: str, quiet: Times, times: Times) -> str:
    latency = [f"{1000 * value:.1f} ms" for value in (quiet.median, times.median, times.quantile(0.99))]
    failed = f"{times.failures} of {len(times.seconds)}"
    return f"| {kind} | {' | '.join(latency)} | {failed} | {times.memory_bytes / 2**20:.0f} MiB | {times.attack} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=_CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=_SECONDS)
    options = parser.parse_args()
    print("\n".join(main(options.connections, options.seconds)))
