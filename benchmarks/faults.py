"""Cause seeded faults on the whole server stack, and check that runs leave the same tables as an embedded run.

`python -m benchmarks.faults --kills 50 --seed 0`. The stack of docker-compose.yml runs as processes: S3, PostgreSQL,
the MLflow and Prefect servers with passwords, a Dask scheduler with TLS and workers that come and go. Every seed has a
lake of its own, an empty registry, and one fault:

    worker        SIGKILL to a worker while it trains
    writer        SIGKILL to a worker while it writes: partition or score
    coordinator   SIGKILL to the run between the last staged file and the commit of the predictions
    run           SIGKILL to the run and all workers at a random moment
    s3, postgres, mlflow    the server is killed, and stays away for 20 seconds

A run must survive a worker's death and a server's absence by itself; where it ends, the same command runs once more.
Meanwhile a reader polls the predictions: it may see none or all of a job, and never a row twice. At the end the script
compares all tables, to the bit, with those of a run on a laptop's set-up (local folder, workers of its own), which also
proves that both set-ups give the same results; and the registry's aliases with the release.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import fsspec
import pandas as pd
import psutil
import psycopg
from mlflow import MlflowClient

from adapters.lake.table import Lake
from adapters.local_stack import LocalStack
from adapters.sources.fleet_files import load_fleet
from adapters.sources.simulated import simulate_fleet
from benchmarks.killing import kill_family
from benchmarks.machine import describe
from domain.data.tables import PREDICTIONS
from tests.support.compare_lakes import differences, tables_in
from tests.support.scratch_stack import ROOT, scratch_stack

__all__ = ["Faults", "Kind", "Verdict"]

Kind = Literal["worker", "writer", "coordinator", "run", "s3", "postgres", "mlflow"]
KINDS: tuple[Kind, ...] = ("worker", "writer", "coordinator", "run", "s3", "postgres", "mlflow")
_STAGES: Mapping[Kind, tuple[str, ...]] = {
    "worker": ("train",),
    "writer": ("partition", "score"),
    "run": ("ingest", "partition", "train", "register", "promote", "score"),
    "s3": ("ingest", "partition", "train", "register", "promote", "score"),
    "postgres": ("train", "register", "promote"),
    "mlflow": ("register", "promote"),
}
"""Stages in which a fault happens; longer stages are chosen more often."""
LIMIT_S = 600.0
ATTEMPTS = 3
AWAY_S = 20.0
_WORKER = "multiprocessing.spawn"
_STAGE_LINE = re.compile(r"^ *(?P<at>[\d.]+) s  (?P<stage>[\w ]+): ")
# Emptied between two seeds; the table with the version of the schema stays.
_REGISTRY_TABLES = "registered_models, model_versions, runs, experiments"


@dataclass
class Verdict:
    """Outcome of a seed. wrong : differences; empty if there are none. snapshots : number of those that were read."""

    kind: Kind
    summary: str
    wrong: list[str]
    attempts: int = 1
    snapshots: int = 0


@dataclass
class _Reader:
    """Poll the predictions. wrong : snapshots with a part of a job or with repeated rows."""

    lake: str
    rows: int
    over: threading.Event = field(default_factory=threading.Event)
    snapshots: int = 0
    wrong: list[str] = field(default_factory=list)

    def look(self, fleet: str) -> None:
        table = Lake(self.lake).table(fleet, PREDICTIONS)
        while not self.over.wait(0.3):
            with suppress(Exception):  # The store may be away: that is the fault.
                seen = table.read(["segment", "origin", "time", "release"]).to_pandas()
                self.snapshots += 1
                if len(seen) not in (0, self.rows):
                    self.wrong.append(f"a reader saw {len(seen):,} of {self.rows:,} predictions")
                if seen.duplicated().any():
                    self.wrong.append(f"a reader saw {seen.duplicated().sum():,} predictions twice")


class Faults:
    """Run one fleet on a stack, with one fault per run."""

    def __init__(self, stack: LocalStack, fleet: str, scratch: Path, away_s: float = AWAY_S) -> None:
        self.stack, self.fleet, self.scratch, self.away_s = stack, fleet, scratch, away_s
        self.name = load_fleet(fleet, ROOT).name
        self.client = stack.client_environment()
        # This process reads the stack's store, too.
        os.environ.update({name: value for name, value in self.client.items() if name.startswith("AWS_")})
        # A cached instance may belong to another store.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        self.expected: dict[str, pd.DataFrame] = {}
        self.times: dict[str, tuple[float, float]] = {}

    def embedded(self) -> float:
        """Run the reference of all comparisons: local folder, SQLite, workers of its own. Returns its seconds."""
        home = self.scratch / "embedded"
        home.mkdir()
        ours = {
            "MYRIAD_HOME": str(ROOT),
            "MYRIAD_LAKE": str(home / "lake"),
            "MYRIAD_REPORTS": str(home / "reports"),
            "MYRIAD_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
            "MYRIAD_ARTIFACT_ROOT": str(home / "artifacts"),
            "PREFECT_HOME": str(home / "prefect"),
        }
        began = time.monotonic()
        process, log = self._start(home, _clean(os.environ) | ours)
        _succeeded(process, log)
        self.expected = tables_in(str(home / "lake"), self.name)
        return time.monotonic() - began

    def undisturbed(self) -> Verdict:
        """Run on the stack without a fault, and record when its stages begin and end."""
        home = self._home("undisturbed")
        process, log = self._start(home, self._environment(home))
        _succeeded(process, log)
        before = 0.0
        for line in log.read_text().splitlines():
            # Only the first line of each stage: later ones come from another part of the run.
            if (match := _STAGE_LINE.match(line)) and match["stage"] not in self.times:
                self.times[match["stage"]] = (before, float(match["at"]))
                before = float(match["at"])
        return Verdict("run", f"{before:.0f} s", self._wrong(home))

    def seeded(self, seed: int) -> Verdict:
        """Run one seed: a fault at a moment that the seed determines, the run to its end, and the comparison."""
        generator, kind, home = random.Random(seed), KINDS[seed % len(KINDS)], self._home(f"seed-{seed}")
        reader = _Reader(self._lake(home), len(self.expected["predictions"]))
        watching = threading.Thread(target=reader.look, args=(self.name,), daemon=True)
        watching.start()
        try:
            summary, attempts, failure = self._to_the_end(kind, generator, home)
        finally:
            reader.over.set()
            watching.join()
        wrong = [failure] if failure else self._wrong(home)
        return Verdict(kind, summary, wrong + sorted(set(reader.wrong)), attempts, reader.snapshots)

    def _to_the_end(self, kind: Kind, generator: random.Random, home: Path) -> tuple[str, int, str]:
        summary = ""
        for attempt in range(1, ATTEMPTS + 1):
            process, log = self._start(home, self._environment(home))
            try:
                if attempt == 1:
                    summary = self._fault(kind, generator, process, log)
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                return summary, attempt, f"the run hangs: {_end_of(log)}"
            finally:
                kill_family(process)
            if process.returncode == 0:
                return summary, attempt, ""
            if kind not in ("coordinator", "run"):
                summary += f" [the run ended: {_end_of(log, 1).strip()}]"
        return summary, ATTEMPTS, f"the run fails {ATTEMPTS} times: {_end_of(log)}"

    # -- faults -------------------------------------------------------------------------------------------------

    def _fault(self, kind: Kind, generator: random.Random, process: "subprocess.Popen[bytes]", log: Path) -> str:
        if kind == "coordinator":
            return self._between_staging_and_commit(process, log)
        stages = [stage for stage in _STAGES[kind] if stage in self.times]
        lengths = [self.times[stage][1] - self.times[stage][0] for stage in stages]
        stage = generator.choices(stages, lengths)[0]
        begin, end = self.times[stage]
        before = next((name for name, (_, over) in self.times.items() if over == begin), "")
        _await(log, before, process)
        pause = generator.uniform(0.0, end - begin)
        time.sleep(pause)
        moment = f"{stage} + {pause:.1f} s of {end - begin:.1f} s"
        if kind in ("worker", "writer"):
            return f"{moment}: {self._kill_workers(1)} worker"
        if kind == "run":
            kill_family(process)
            return f"{moment}: the run and {self._kill_workers(99)} workers"
        self.stack.hold(kind)
        time.sleep(self.away_s)
        self.stack.release(kind)
        return f"{moment}: {kind} away for {self.away_s:.0f} s"

    def _between_staging_and_commit(self, process: "subprocess.Popen[bytes]", log: Path) -> str:
        """Kill the run at the line about the last bucket: all buckets are staged then, and nothing is committed."""
        _await(log, "score", process)
        kill_family(process)
        return "after the last bucket of score was staged: the coordinator"

    def _kill_workers(self, most: int) -> int:
        """Send SIGKILL to workers, as soon as one exists. Returns their number."""
        end = time.monotonic() + 10.0
        while time.monotonic() < end:
            workers = self._workers()
            for worker in workers[:most]:
                with suppress(psutil.Error):
                    worker.kill()
            if workers:
                return len(workers[:most])
            time.sleep(0.05)
        return 0

    def _workers(self) -> list[psutil.Process]:
        service = next(entry for entry in self.stack.entries() if entry.name == "dask-workers")
        workers = []
        with suppress(psutil.Error):
            for child in psutil.Process(service.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if _WORKER in " ".join(child.cmdline()):
                        workers.append(child)
        return workers

    # -- runs ---------------------------------------------------------------------------------------------------

    def _home(self, name: str) -> Path:
        """Make a scratch folder for one seed, whose lake does not exist yet, and empty the registry."""
        home = self.scratch / name
        home.mkdir()
        with psycopg.connect(dbname="mlflow", **self._database()) as connection:
            connection.execute(f"TRUNCATE {_REGISTRY_TABLES} CASCADE")
        return home

    def _database(self) -> dict[str, str]:
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
        return {name: self.client[variable] for name, variable in names.items()}

    def _lake(self, home: Path) -> str:
        return f"s3://myriad/faults/{home.name}"

    def _environment(self, home: Path) -> dict[str, str]:
        ours = {
            "MYRIAD_LAKE": self._lake(home),
            "MYRIAD_REPORTS": str(home / "reports"),
            "PREFECT_HOME": str(home / "prefect"),
        }
        return _clean(os.environ) | self.client | ours

    def _start(self, home: Path, environment: Mapping[str, str]) -> "tuple[subprocess.Popen[bytes], Path]":
        log = home / f"output-{len(list(home.glob('output-*')))}"
        with log.open("wb") as output:
            command = [sys.executable, "-u", "-m", "cli", "run", self.fleet]
            process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output, start_new_session=True
            )
        return process, log

    # -- comparison ---------------------------------------------------------------------------------------------

    def _wrong(self, home: Path) -> list[str]:
        tables = tables_in(self._lake(home), self.name)
        return differences(tables, self.expected) + self._stray_aliases(tables["champions"])

    def _stray_aliases(self, champions: pd.DataFrame) -> list[str]:
        """Report models whose alias does not name the release's version, or that were registered twice."""
        newest = champions[champions["release"] == champions["release"].max()]
        expected = dict(zip(newest["model_name"], newest["model_version"].astype(int), strict=True))
        with _variables(self.client):
            client = MlflowClient(tracking_uri=self.client["MYRIAD_TRACKING_URI"])
            models, token = {}, None
            while token is None or token:
                page = client.search_registered_models(max_results=1000, page_token=token)
                models |= {model.name: model for model in page}
                token = page.token or ""
        wrong = [
            name
            for name, version in expected.items()
            if name not in models or int(models[name].aliases.get("champion", 0)) != version
        ]
        twice = [name for name, version in expected.items() if version != 1]
        messages = [f"registry: {len(wrong)} aliases do not name the release, such as {wrong[0]}"] if wrong else []
        return messages + (
            [f"registry: {len(twice)} models have several versions, such as {twice[0]}"] if twice else []
        )


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    ours = ("MYRIAD_", "PREFECT_", "MLFLOW_", "DASK_", "PG")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


def _await(log: Path, stage: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the run reports that a stage is done; the empty stage is done from the start."""
    while stage and process.poll() is None and f"s  {stage}: " not in log.read_text():
        time.sleep(0.02)


def _succeeded(process: "subprocess.Popen[bytes]", log: Path) -> None:
    try:
        process.wait(LIMIT_S)
    finally:
        kill_family(process)
    if process.returncode:
        raise SystemExit(f"the undisturbed run failed with {process.returncode}: {_end_of(log)}")


def _end_of(log: Path, lines: int = 12) -> str:
    return "\n    ".join(["", *log.read_text(errors="replace").splitlines()[-lines:]])


def _simulated(folder: Path, segments: int) -> str:
    sizes = {"weeks": 122, "horizon": 8, "seed": 0}
    return str(simulate_fleet(folder, segments, 4, "parquet", sizes, {})[-1])


def main(tell: Callable[[str], None] = lambda line: print(line, flush=True)) -> int:
    """Run all seeds. Returns 1 if anything differs after a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="number of seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--segments", type=int, default=400, help="segments of the simulated fleet")
    parser.add_argument("--fleet", help="fleet file in place of the simulated fleet")
    options = parser.parse_args()
    tell("\n".join(describe(f"python -m benchmarks.faults {' '.join(sys.argv[1:])}")))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="myriad-faults-") as scratch, scratch_stack() as stack:
        fleet = options.fleet or _simulated(Path(scratch) / "raw", options.segments)
        faults = Faults(stack, fleet, Path(scratch))
        tell(f"embedded run: {faults.embedded():.0f} s, {sum(map(len, faults.expected.values())):,} rows")
        first = faults.undisturbed()
        tell(f"undisturbed on the stack: {first.summary}: {_judged(first)}")
        verdicts = []
        for seed in range(options.seed, options.seed + options.kills):
            verdict = faults.seeded(seed)
            verdicts.append(verdict)
            effort = f"{verdict.attempts} runs, {verdict.snapshots} snapshots"
            tell(f"seed {seed}: {verdict.kind}: {verdict.summary}: {effort}: {_judged(verdict)}")
    good = sum(not verdict.wrong for verdict in verdicts)
    survivable = [verdict for verdict in verdicts if verdict.kind not in ("coordinator", "run")]
    survived = sum(verdict.attempts == 1 for verdict in survivable)
    tell(f"identical: {good} of {len(verdicts)}; without another run: {survived} of {len(survivable)}")
    return int(good < len(verdicts) or bool(first.wrong))


def _judged(verdict: Verdict) -> str:
    return "\n  ".join(["DIFFERENT", *verdict.wrong]) if verdict.wrong else "identical"


if __name__ == "__main__":
    sys.exit(main())
