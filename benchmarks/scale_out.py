"""Speed-up by a second worker, and cost of a lake on S3: train and score of 11,973 simulated segments.

Scale-out: the stages with one worker and with two, including planning and commits, compared with bare processes that
run the same bucket functions (read, compute, stage files) without Dask, Prefect, checkpoints and commits. The bare
speed-up is the upper limit for two processes of this machine.

S3: the stages with two workers on a lake in a SeaweedFS of this machine, which uses a part of the processors, compared
with a lake in a local folder. All workers are warm, and the runs of a round alternate.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import fsspec

from adapters.compute.dask import Workers, start_workers
from adapters.lake.table import Lake
from adapters.registry import Registry
from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from adapters.sources.simulated import simulate_fleet
from benchmarks.fleet import SIZE
from benchmarks.machine import describe
from benchmarks.timing import by_turns, ratio, timed
from domain.data.tables import (
    CHALLENGERS,
    CHAMPIONS,
    LEADERBOARD,
    OUTCOMES,
    PREDICTIONS,
    SEGMENTS,
    levels,
    observations,
)
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.plan import plan_training
from tasks.promote import current_release, promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.scoring_request import scoring_request
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext
from tasks.workers.score import score_bucket
from tasks.workers.train import train_bucket
from tests.support.s3_server import BUCKET, s3_server

ROUNDS = 3
WARM_UP = 4
"""Buckets that warm up every bare process."""
_MADE = {"train": (CHALLENGERS, LEADERBOARD, OUTCOMES), "score": (PREDICTIONS,)}
_READ = {"train": (CHALLENGERS, LEADERBOARD, SEGMENTS), "score": (PREDICTIONS, CHAMPIONS, OUTCOMES)}
_STAGES: dict[str, Callable[[Run], object]] = {"train": train_challengers, "score": score_fleet}
Timings = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class _Bare:
    """A stage without Dask and Prefect: its bucket function, and the buckets in the order of their dispatch."""

    function: Callable[[int], object]
    buckets: Sequence[int]


def main(segments: int = SIZE, rounds: int = ROUNDS) -> list[str]:
    """Return the lines of the benchmark."""
    # Before any process starts, so that every process has one thread.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with _places(segments) as (local, remote):
        timings = {stage: _measured(stage, local, remote, rounds) for stage in _STAGES}
    return [*describe("python -m benchmarks.scale_out"), "", *_lines(timings, segments)]


@contextmanager
def _places(segments: int) -> Iterator[tuple[list[Run], Run]]:
    """Yield runs of a fleet with a release: in a local lake with one and two workers, and on S3 with the same two."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="myriad-scale-")))
        (folder / "s3").mkdir()
        stack.enter_context(s3_server(folder / "s3"))
        workers = [stack.enter_context(start_workers(Settings(workers=count))) for count in (1, 2)]
        context = _prepared(segments, folder, workers[1])
        copy = Lake(f"s3://{BUCKET}/copy")
        fsspec.filesystem("s3").put(f"{context.lake.uri}/", copy.uri, recursive=True)
        yield [Run(context, pool) for pool in workers], Run(replace(context, lake=copy), workers[1])


def _prepared(segments: int, folder: Path, workers: Workers) -> RunContext:
    """Simulate raw files, and run the stages up to a release and ingested input to score."""
    simulate_fleet(folder / "raw", segments, None, "parquet", {}, {})
    fleet = load_fleet(str(folder / "raw" / "fleet.yaml"), folder)
    run = Run(RunContext(fleet, Lake(str(folder / "lake")), "bench", folder), workers)
    ingest_files(run, "observations", fleet.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")))
    promote_challengers(run)
    assert fleet.score is not None
    ingest_files(run, "requests", fleet.score.source)
    return run.context


def _measured(stage: str, local: Sequence[Run], remote: Run, rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of a stage, by kind of run."""
    _delete_results(stage, local[0])
    bare = _bare(stage, local[0])
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as single, ProcessPoolExecutor(2, spawn) as double:
        runs = {
            "ours_1": partial(_ours, stage, local[0]),
            "ours_2": partial(_ours, stage, local[1]),
            "bare_1": partial(_alone, stage, local[0], single, bare),
            "bare_2": partial(_alone, stage, local[0], double, bare),
            "s3": partial(_ours, stage, remote),
        }
        for pool, count in ((single, 1), (double, 2)):
            list(pool.map(bare.function, bare.buckets[: WARM_UP * count]))
        for run in (*local, remote):
            _ours(stage, run)
        seconds = by_turns(rounds, **runs)
    print(f"{stage}: {seconds}", file=sys.stderr, flush=True)
    return seconds


def _bare(stage: str, run: Run) -> _Bare:
    run = run.at_snapshot(*_READ[stage], observations(run.fleet), levels(run.fleet))
    if stage == "train":
        plan = plan_training(run)
        order = sorted(plan.work, key=plan.weight, reverse=True)
        return _Bare(partial(train_bucket, run.context, plan.contract, plan.buckets), order)
    covered = scoring_request(run, current_release(run), None)
    return _Bare(partial(score_bucket, run.context, covered), range(covered.buckets))


def _ours(stage: str, run: Run) -> float:
    _delete_results(stage, run)
    return timed(lambda: _STAGES[stage](run))


def _alone(stage: str, run: Run, pool: ProcessPoolExecutor, bare: _Bare) -> float:
    _delete_results(stage, run)
    return timed(lambda: list(pool.map(bare.function, bare.buckets)))


def _delete_results(stage: str, run: Run) -> None:
    """Delete the tables that the stage writes, so that it repeats all of its work."""
    for spec in _MADE[stage]:
        table = run.table(spec)
        if table.exists():
            fsspec.core.url_to_fs(table.uri, use_listings_cache=False)[0].rm(table.uri, recursive=True)


def _lines(timings: Timings, segments: int) -> list[str]:
    lines = [
        f"{segments:,} segments, seconds (median of {len(next(iter(timings['train'].values())))} rounds):",
        "",
        "| stage | one worker | two workers | speed-up | bare, one process | bare, two | speed-up | Myriad / bare |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for stage, seconds in timings.items():
        middle = {name: statistics.median(values) for name, values in seconds.items()}
        ours, bare = (ratio(seconds[f"{kind}_1"], seconds[f"{kind}_2"]) for kind in ("ours", "bare"))
        lines.append(
            f"| {stage} | {middle['ours_1']:.1f} | {middle['ours_2']:.1f} | {ours:.2f} | "
            f"{middle['bare_1']:.1f} | {middle['bare_2']:.1f} | {bare:.2f} | {ours / bare:.2f} |"
        )
    lines += ["", "| stage, two workers | local lake | lake on S3 | S3 / local |", "|---|---|---|---|"]
    for stage, seconds in timings.items():
        local, remote = (statistics.median(seconds[name]) for name in ("ours_2", "s3"))
        lines.append(f"| {stage} | {local:.1f} | {remote:.1f} | {ratio(seconds['s3'], seconds['ours_2']):.2f} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=SIZE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print("\n".join(main(options.segments, options.rounds)))
