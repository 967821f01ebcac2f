"""Kill whole runs at seeded moments, and check that repeated runs leave the same tables as an uninterrupted run.

`make chaos`, or `python -m benchmarks.chaos --kills 30 --seed 0 --fleet fleets/m3.yaml`. Every seed starts with an
empty lake, registry and Prefect home. Three of five seeds send SIGKILL to all processes at a random moment and run
again, one does so twice, and one kills a single worker, which the run must survive without another start. Then the
script compares all tables with those of an uninterrupted run (see `tests/support/compare_lakes.py`), and the registry's
aliases with the release.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
from mlflow import MlflowClient

from adapters.settings import quiet_telemetry
from adapters.sources.fleet_files import load_fleet
from benchmarks.killing import kill_family
from benchmarks.machine import describe
from tests.support.compare_lakes import differences, tables_below

ROOT = Path(__file__).parents[1]
LIMIT_S = 900.0
_WORKER = "multiprocessing.spawn"
"""Part of a worker process's command line: Dask starts workers by this module."""


@dataclass
class Attempt:
    """One start of the command, with its exit code and output."""

    seconds: float
    code: int
    lines: list[str] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """The last stage that was reported."""
        stages = [line.split(" s  ")[1].partition(":")[0] for line in self.lines if " s  " in line]
        return f"after {stages[-1]}" if stages else "before the first stage was done"

    @property
    def trained(self) -> tuple[int, int] | None:
        """Number of buckets that this attempt trained, and of all; None if it did not finish a training."""
        text = "\n".join(self.lines)
        done = re.search(r"s  train: (\d+) of \1$", text, re.MULTILINE)
        resumed = re.search(r"s  train: resumed (\d+) of \d+$", text, re.MULTILINE)
        return (int(done[1]) - (int(resumed[1]) if resumed else 0), int(done[1])) if done else None


@dataclass
class Outcome:
    """Outcome of a seed. redone : share of the training that the last run did; None if no earlier run could train."""

    summary: str
    wrong: list[str]
    redone: float | None = None


class Chaos:
    """Runs one fleet in scratch folders below `scratch`."""

    def __init__(self, fleet: str, scratch: Path) -> None:
        self.fleet, self.scratch = fleet, scratch
        self.name = load_fleet(fleet, ROOT).name
        self.prefect = scratch / "prefect"
        self.prefect.mkdir(parents=True)
        # Prefect makes its database once, in 10 seconds and more; every seed gets a copy.
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(command, env=_environment(scratch), check=True, capture_output=True)

    def home(self, name: str) -> Path:
        """Make an empty scratch folder with a copy of Prefect's database."""
        home = self.scratch / name
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.prefect, home / "prefect")
        return home

    def attempt(self, home: Path, kill_after_s: float | None = None, *, worker: bool = False) -> Attempt:
        """Run the command once, optionally killed after a time; leaves no process behind."""
        command, output = [sys.executable, "-u", "-m", "cli", "run", self.fleet], home / "output"
        began = time.monotonic()
        with output.open("w+", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=_environment(home), stdout=log, stderr=log, start_new_session=True
            )
            try:
                if kill_after_s is not None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(kill_after_s)
                    _kill_worker(process) if worker else kill_family(process)
                process.wait(LIMIT_S)
            finally:
                kill_family(process)
            log.seek(0)
            return Attempt(time.monotonic() - began, process.returncode, log.read().splitlines())

    def seeded(self, seed: int, whole_s: float, expected: dict[str, pd.DataFrame]) -> Outcome:
        """Run one seed: kill, run again, compare."""
        generator, home = random.Random(seed), self.home(f"seed-{seed}")
        worker, kills = seed % 5 == 4, 2 if seed % 5 == 3 else 1
        moments, attempts = [], []
        for _ in range(kills):
            # Workers exist only in this part of the run.
            moments.append(generator.uniform(0.4 if worker else 0.0, 0.9 if worker else 1.0) * whole_s)
            attempts.append(self.attempt(home, moments[-1], worker=worker))
        if not worker:
            attempts.append(self.attempt(home))
        last = attempts[-1]
        victim = "a worker" if worker else "all"
        summary = f"killed {victim} at {' and '.join(f'{at:.1f}' for at in moments)} of {whole_s:.0f} s"
        if not worker:
            stages = ", ".join(attempt.stage for attempt in attempts[:-1])
            summary += f" ({stages}), then {last.seconds:.0f} s"
        if last.code:
            return Outcome(summary, [f"the run failed with {last.code}:", *last.lines[-10:]])
        wrong = differences(tables_below(home / "lake" / self.name), expected)
        wrong += _stray_aliases(home, self.name)
        if not worker:
            summary += ", trained {} of {} buckets".format(*last.trained) if last.trained else ", trained nothing"
        redone = None if worker else _redone(attempts)
        shutil.rmtree(home)
        return Outcome(summary, wrong, redone)


def _redone(attempts: list[Attempt]) -> float | None:
    """Return the share of the training that the last run did; None if no earlier run got as far as training."""
    *killed, last = attempts
    if not any("s  partition: " in line for attempt in killed for line in attempt.lines):
        return None
    trained, total = last.trained or (0, 1)
    return trained / total


def _environment(home: Path) -> dict[str, str]:
    quiet_telemetry()
    ours = ("MYRIAD_", "PREFECT_", "MLFLOW_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return clean | {
        "MYRIAD_HOME": str(ROOT),
        "MYRIAD_LAKE": str(home / "lake"),
        "MYRIAD_REPORTS": str(home / "reports"),
        "MYRIAD_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "MYRIAD_ARTIFACT_ROOT": str(home / "artifacts"),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def _kill_worker(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to one worker, as soon as one exists."""
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(process.pid).children(recursive=True)
            workers = [child for child in descendants if _WORKER in " ".join(child.cmdline())]
            if workers:
                min(workers, key=lambda worker: worker.pid).kill()
                return
        time.sleep(0.05)


def _stray_aliases(home: Path, name: str) -> list[str]:
    """Report aliases `champion` that do not name the version in force, and models registered more than once."""
    champions = tables_below(home / "lake" / name)["champions"]
    champions = champions[champions["release"] == champions["release"].max()]
    expected = dict(zip(champions["model_name"], champions["model_version"].astype(int), strict=True))
    client, models, token = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db"), {}, None
    while token is None or token:
        page = client.search_registered_models(max_results=1000, page_token=token)
        models |= {model.name: model for model in page}
        token = page.token or ""
    wrong = [name for name, version in expected.items() if int(models[name].aliases.get("champion", 0)) != version]
    twice = [name for name, version in expected.items() if version != 1]
    messages = [f"registry: {len(wrong)} aliases do not name the release, such as {wrong[0]}"] if wrong else []
    return messages + ([f"registry: {len(twice)} models have several versions, such as {twice[0]}"] if twice else [])


def main() -> int:
    """Run all seeds. Returns 1 if the tables of a seed differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="number of seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--fleet", default="fleets/m3.yaml", help="fleet file")
    options = parser.parse_args()
    if Path(options.fleet).stem == "m3" and not (ROOT / "var/raw/m3").exists():
        subprocess.run([sys.executable, "-m", "cli", "sample", "m3"], cwd=ROOT, check=True, capture_output=True)
    arguments = f"--kills {options.kills} --seed {options.seed} --fleet {options.fleet}"
    print("\n".join(describe(f"python -m benchmarks.chaos {arguments}")), flush=True)
    # An exception, so that running processes and scratch folders are removed then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="myriad-chaos-") as scratch:
        chaos = Chaos(options.fleet, Path(scratch))
        whole = chaos.attempt(chaos.home("whole"))
        if whole.code:
            print("\n".join(["the uninterrupted run failed:", *whole.lines[-20:]]))
            return 1
        expected = tables_below(Path(scratch) / "whole" / "lake" / chaos.name)
        rows = sum(map(len, expected.values()))
        print(f"uninterrupted: {whole.seconds:.0f} s, {len(expected)} tables, {rows:,} rows", flush=True)
        outcomes = []
        for seed in range(options.seed, options.seed + options.kills):
            outcomes.append(chaos.seeded(seed, whole.seconds, expected))
            verdict = "identical" if not outcomes[-1].wrong else "\n  ".join(["DIFFERENT", *outcomes[-1].wrong])
            print(f"seed {seed}: {outcomes[-1].summary}: {verdict}", flush=True)
    identical = sum(not outcome.wrong for outcome in outcomes)
    redone = [outcome.redone for outcome in outcomes if outcome.redone is not None]
    print(f"identical: {identical} of {len(outcomes)}")
    if redone:
        share = sum(redone) / len(redone)
        print(f"of the training, the last run did {share:.0%} on average ({len(redone)} kills after partition)")
    return int(identical < len(outcomes))


if __name__ == "__main__":
    sys.exit(main())
