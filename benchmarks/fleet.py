"""A whole fleet: 11,973 simulated segments of 122 weeks, from raw files to committed predictions.

The size is that of the best-known public solution accelerator for many models, which reports over an hour on a cluster.
The candidates are seasonal naive, theta, ridge and their combination. Every run is a `myriad run` in a lake and a
registry of its own; the times are those of its report, without the start of Prefect and of the workers.

The floor of the train stage is the same kernels (`train_forecast`: features, backtest, selection, refit, graphs, parity
check) on arrays in memory, in two processes, without reading, writing, planning and committing.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from adapters.compute.dask import open_workers
from adapters.lake.table import Lake
from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from benchmarks.machine import describe
from benchmarks.timing import by_turns, ratio, timed
from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, observations
from models.features.feature_spec import feature_spec_of
from models.features.series import Series, build_series
from models.training.forecast import train_forecast
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext, in_bucket

SIZE = 11_973
SCALE = (3_000, SIZE, 48_000)
ROUNDS = 3
ROOT = Path(__file__).parents[1]
_STAGES = ("ingest", "partition", "plan", "train", "register", "promote", "score", "accuracy", "evaluate")


@dataclass(frozen=True)
class _Result:
    """Figures of a run's report. seconds : per stage. memory : peak of all processes together, in GiB."""

    segments: int
    models: int
    seconds: dict[str, float]
    memory: float
    wall: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def main(scale: tuple[int, ...] = SCALE) -> list[str]:
    """Return the lines of the benchmark."""
    results: dict[int, _Result] = {}
    floor: dict[str, list[float]] = {}
    for segments in scale:
        with tempfile.TemporaryDirectory(prefix="myriad-fleet-") as folder:
            results[segments] = _run(segments, Path(folder))
            if segments == SIZE:
                floor = _against_floor(Path(folder))
        print(f"{segments:,} segments: {results[segments].total:.0f} s", file=sys.stderr, flush=True)
    return [*describe("python -m benchmarks.fleet"), "", *_result_lines(results), *_floor_lines(floor)]


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "MYRIAD_HOME": str(folder),
        "MYRIAD_LAKE": str(folder / "lake"),
        "MYRIAD_REPORTS": str(folder / "reports"),
        "MYRIAD_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MYRIAD_ARTIFACT_ROOT": str(folder / "artifacts"),
    }


def _run(segments: int, folder: Path) -> _Result:
    """Simulate a fleet and run it."""
    command, environment = [sys.executable, "-m", "cli"], _environment(folder)
    raw = str(folder / "raw")
    subprocess.run(
        [*command, "simulate", raw, "--segments", str(segments)],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    run = [*command, "run", f"{raw}/fleet.yaml"]
    wall = timed(lambda: subprocess.run(run, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL))
    report: dict[str, Any] = json.loads((folder / "reports" / "simulated" / "latest.json").read_text())
    seconds = {stage["name"]: stage["seconds"] for stage in report["stages"]}
    return _Result(segments, report["promoted"], seconds, report["peak_rss_bytes"] / 2**30, wall)


def _result_lines(results: dict[int, _Result]) -> list[str]:
    lines = [
        "| segments | models | "
        + " | ".join(_STAGES)
        + " | all stages, s | ms per segment | with start-up, s | peak GiB |",
        "|---|---|" + "---|" * len(_STAGES) + "---|---|---|---|",
    ]
    for result in results.values():
        cells = " | ".join(f"{result.seconds.get(stage, 0.0):.1f}" for stage in _STAGES)
        lines.append(
            f"| {result.segments:,} | {result.models:,} | {cells} | {result.total:.1f} | "
            f"{result.total / result.segments * 1000:.2f} | {result.wall:.0f} | {result.memory:.2f} |"
        )
    sizes = sorted(results)
    if len(sizes) > 1:
        first, last = results[sizes[0]], results[sizes[-1]]
        growth = (last.total / last.segments) / (first.total / first.segments)
        memory = last.memory / first.memory
        lines += [
            "",
            f"From {sizes[0]:,} to {sizes[-1]:,} segments, the cost per segment changes by a factor of {growth:.2f}, "
            f"and the peak memory by a factor of {memory:.2f}.",
        ]
    return lines


# --- the floor of the train stage


def _against_floor(folder: Path) -> dict[str, list[float]]:
    """Measure the train stage and its kernels alone, alternately, on the lake of a run."""
    os.environ |= _environment(folder) | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    context = _context(folder)
    for name in ("challengers", "leaderboard", "outcomes"):
        spec = {"challengers": CHALLENGERS, "leaderboard": LEADERBOARD, "outcomes": OUTCOMES}[name]
        context.table(spec).replace([], lambda file: True)
    contract, clock, table = (
        feature_spec_of(context.fleet, {}),
        context.fleet.clock,
        context.table(observations(context.fleet)),
    )
    with open_workers(Settings()) as workers:
        run = Run(context, workers)
        buckets = [
            _trainable(context, build_series(table.read(where=in_bucket(b)), contract, clock))
            for b in range(_count(run))
        ]
        pickled = folder / "series.pickle"  # Written and read by this benchmark only.
        pickled.write_bytes(pickle.dumps((context.fleet, contract, buckets)))
        with ProcessPoolExecutor(2, get_context("spawn"), _load, (pickled,)) as pool:
            list(pool.map(_kernel, range(2)))

            def kernels() -> float:
                return timed(lambda: list(pool.map(_kernel, range(len(buckets)))))

            def stage() -> float:
                seconds = timed(lambda: train_challengers(run))
                for spec in (CHALLENGERS, LEADERBOARD, OUTCOMES):
                    context.table(spec).replace([], lambda file: True)
                return seconds

            stage()
            return by_turns(ROUNDS, stage=stage, kernels=kernels)


def _context(folder: Path) -> RunContext:
    return RunContext(
        load_fleet(str(folder / "raw" / "fleet.yaml"), folder), Lake(str(folder / "lake")), "bench", folder
    )


def _count(run: Run) -> int:
    return recorded_buckets(run)


def _trainable(context: RunContext, series: Series) -> Series:
    """Select the segments with enough rows for a model of their own."""
    return series.take(np.flatnonzero(series.rows >= context.fleet.partition.min_rows))


_loaded: tuple[Any, Any, list[Series]] | None = None


def _load(path: Path) -> None:
    global _loaded
    _loaded = pickle.loads(path.read_bytes())


def _kernel(bucket: int) -> int:
    assert _loaded is not None
    fleet, contract, buckets = _loaded
    return len(train_forecast(buckets[bucket], fleet, contract))


def _floor_lines(floor: dict[str, list[float]]) -> list[str]:
    if not floor:
        return []
    stage, kernels = (float(np.median(floor[name])) for name in ("stage", "kernels"))
    return [
        "",
        f"Train stage of {SIZE:,} segments: {stage:.1f} s; its kernels alone, in two processes: {kernels:.1f} s; ratio "
        f"{ratio(floor['stage'], floor['kernels']):.2f}.",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, nargs="*", default=SCALE, help="sizes; 100000 takes about ten minutes")
    print("\n".join(main(tuple(parser.parse_args().segments))))
