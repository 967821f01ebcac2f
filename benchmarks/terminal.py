"""Commands at the terminal: wall time, CPU seconds and the first line of each, on a trained fleet.

The fleet is that of the tutorial: 36 segments of 130 weeks. CPU seconds include all processes that a command starts,
also those that outlive it for a moment. The first line is what a user sees first after Enter, on stdout or stderr of a
terminal. Commands and floors are taken by turns; the figures are medians. Commands after `run` find nothing to do.
"""

import argparse
import ctypes
import os
import pty
import re
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe

__all__ = ["Timing", "main", "measure"]

ROOT = Path(__file__).parents[1]
_ROUNDS = 3
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
MYRIAD = (sys.executable, "-m", "cli")
FLOORS: Mapping[str, tuple[str, ...]] = {
    "floor: python -c pass": (sys.executable, "-c", "pass"),
    "floor: import pyarrow": (sys.executable, "-c", "import pyarrow"),
    "floor: import pandas": (sys.executable, "-c", "import pandas"),
}
LOOK = ("--help", "check cafes", "status", "status cafes", "explain cafes mill coffee", "report cafes")
IDLE = ("score cafes", "accuracy cafes", "run cafes", "train cafes", "promote cafes", "ingest cafes")
PINS = ("pin cafes harbour/tea 1", "pin cafes harbour/tea --off")


@dataclass(frozen=True)
class Timing:
    """Seconds of one command: wall time, CPU of all its processes, and time to its first output."""

    wall_s: float
    cpu_s: float
    first_s: float


def measure(command: Sequence[str], folder: Path, *, terminal: bool = True) -> Timing:
    """Run a command and measure it. Raises RuntimeError with its output if it fails."""
    _adopt_orphans()
    parent, child = pty.openpty() if terminal else os.pipe()
    before, began = _children_cpu_s(), time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=child, stderr=child
    )
    os.close(child)
    first_s, output = _read(parent, began)
    code = process.wait()
    wall_s = time.perf_counter() - began
    os.close(parent)
    _await_orphans()
    if code:
        raise RuntimeError(f"{' '.join(command)} exits with {code}:\n{output.decode(errors='replace')[-2000:]}")
    return Timing(wall_s, _children_cpu_s() - before, first_s if first_s is not None else wall_s)


def _environment() -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_"))}
    return clean | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}


def _read(parent: int, began: float) -> tuple[float | None, bytes]:
    """Read all output; return the seconds until its first printable character, None without any."""
    first_s, output = None, b""
    while True:
        select.select([parent], [], [])
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # The last process has closed the terminal.
            break
        if not chunk:
            break
        output += chunk
        if first_s is None and re.search(rb"[\w\xe2]", re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", output)):
            first_s = time.perf_counter() - began
    return first_s, output


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends first, so that their CPU seconds count too."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _await_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def prepare(folder: Path) -> list[tuple[str, Timing]]:
    """Make the tutorial's fleet in a folder and run it, which is measured."""
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    script = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    if script is None:
        raise RuntimeError("docs/tutorial.md has no script")
    (folder / "cafes.py").write_text(script[1], encoding="utf-8")
    rows = subprocess.run(
        [sys.executable, "cafes.py", "0", "130"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    (folder / "cafes.csv").write_text(rows, encoding="utf-8")
    commands = ("new cafes.csv", "run cafes")
    return [(f"{text}, the first", measure([*MYRIAD, *text.split()], folder)) for text in commands]


def main(rounds: int = _ROUNDS, only: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Return the lines of the benchmark."""
    commands = {name: tuple(command) for name, command in FLOORS.items()}
    commands |= {text: (*MYRIAD, *text.split()) for text in (*LOOK, *IDLE, *PINS)}
    # A pin makes a release, after which there is something to score: pins come last.
    batches = [[text for text in commands if only(text) and (text in PINS) == pins] for pins in (False, True)]
    with tempfile.TemporaryDirectory(prefix="myriad-terminal-") as name:
        folder = Path(name)
        first = prepare(folder)
        timings: dict[str, list[Timing]] = {text: [] for batch in batches for text in batch}
        for batch in batches:
            for text in batch * rounds:
                timings[text].append(measure(commands[text], folder))
    rows = [_row(text, [timing]) for text, timing in first] + [_row(text, taken) for text, taken in timings.items()]
    header = ["| command | wall, s | CPU, s | first line, s |", "|---|---|---|---|"]
    return [*describe("python -m benchmarks.terminal"), "", *header, *rows]


def _row(text: str, timings: Sequence[Timing]) -> str:
    figures = (
        statistics.median(getattr(timing, name) for timing in timings) for name in ("wall_s", "cpu_s", "first_s")
    )
    label = text if text.startswith("floor") else f"`myriad {text}`"
    return f"| {label} | {' | '.join(f'{figure:.2f}' for figure in figures)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--only", default="", help="only commands that contain this text")
    options = parser.parse_args()
    print("\n".join(main(options.rounds, lambda name: options.only in name)))
