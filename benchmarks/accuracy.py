"""Accuracy of the example fleets on unseen data, compared with the naive baseline on the same rows.

Every fleet runs from raw files, by `myriad run`, in a lake and a registry of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import describe

FLEETS = ("m3", "oj", "flights")
ROOT = Path(__file__).parents[1]


def run_fleet(name: str, folder: Path) -> dict[str, object]:
    """Run one fleet and return the JSON summary of its report."""
    environment = os.environ | {
        "MYRIAD_LAKE": str(folder / "lake"),
        "MYRIAD_REPORTS": str(folder / "reports"),
        "MYRIAD_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MYRIAD_ARTIFACT_ROOT": str(folder / "artifacts"),
    }
    command = [sys.executable, "-m", "cli", "run", f"fleets/{name}.yaml"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    summary: dict[str, object] = json.loads((folder / "reports" / name / "latest.json").read_text())
    return summary


def main() -> list[str]:
    """Return the lines of the benchmark."""
    subprocess.run([sys.executable, "-m", "cli", "sample"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    lines = [*describe("python -m benchmarks.accuracy"), ""]
    lines += [
        "| fleet | segments | test rows | metric | champion | baseline | ratio | interval covers | seconds | peak GiB |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for name in FLEETS:
        with tempfile.TemporaryDirectory() as folder:
            summary = run_fleet(name, Path(folder))
        test = summary["metric"]["test"]  # type: ignore[index]
        seconds = sum(stage["seconds"] for stage in summary["stages"])  # type: ignore[attr-defined]
        memory = summary["peak_rss_bytes"] / 2**30  # type: ignore[operator]
        lines.append(
            f"| {name} | {summary['segments']:,} | {test['rows']:,} | {test['name']} | {test['champion']:.4g} | "
            f"{test['baseline']:.4g} | {test['champion'] / test['baseline']:.3f} | {test['coverage']:.1%} | "
            f"{seconds:.0f} | {memory:.2f} |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(main()))
