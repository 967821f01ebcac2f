"""Size a fleet: train and score a sample on one worker, and recommend a number of workers for the whole fleet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.compute.measured_costs import full_run, write_cost_model
from adapters.compute.progress import Progress, emit
from adapters.lake.table import Lake
from domain.capacity.calibrated_estimate import serial_parts
from domain.capacity.cost_model import CostModel
from domain.capacity.recommendation import FleetTasks, Sampled, Sizing, size_fleet
from domain.data.tables import SEGMENTS, landed
from domain.errors import SourceError
from domain.reporting.formatting import format_count, format_duration
from domain.reporting.summary import Summary
from models.training.fingerprints import cost_fingerprint, settings_fingerprint
from models.training.plan import plan_levels, plan_segments
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations, recorded_buckets
from tasks.plan import plan_training
from tasks.sizing.measure import measure_sample
from tasks.sizing.sample import take_sample
from tasks.sizing.workload import request_work, score_work, train_work
from tasks.workers.run_context import RunContext

__all__ = ["size"]

_ROUGH_SEGMENTS = 16
_IN_TRAINING = ("plan", "train", "register", "promote", "score")


@dataclass(frozen=True)
class _Source:
    """Source of the rows: the fleet's lake, or a scratch lake that lasts as long as this command."""

    run: Run
    requests: Run | None
    origin: str
    notes: tuple[str, ...]


def size(run: Run, folder: Path, segments: int, cores: int) -> Sizing:
    """Measure a sample of the fleet on the run's worker, which should be a single one, and advise on the whole fleet.

    Neither the fleet's lake nor its registry changes: models and predictions go to a temporary folder.
    folder : the fleet's reports, where the measured costs are stored. segments : at most this many are measured.
    cores : of this machine. Raises SourceError if nothing has been partitioned and the raw files cannot be read.
    """
    began = time.perf_counter()
    with TemporaryDirectory(prefix="myriad-size-") as place:
        source = _source(run, Lake(f"{place}/raw"))
        planning = time.perf_counter()
        contract = plan_training(source.run).contract
        plan_seconds = time.perf_counter() - planning
        tasks = _whole(source, settings_fingerprint(run.fleet, contract))
        emit(Progress("sample", 0, 0, f"up to {segments:,} of {tasks.segments:,} segments, from {source.origin}"))
        sample = take_sample(source.run, source.requests, Lake(f"{place}/sample"), contract, segments)
        measured = measure_sample(sample, run.workers, remote="://" in source.run.context.lake.uri)
    rates, former = measured.rates, full_run(folder, cost_fingerprint(run.fleet))
    models = sum(work.segments for work in tasks.train)
    serial = serial_parts(models, plan_seconds + rates.commit_seconds, former)
    sampled = Sampled(sample.segments, sample.rows, measured.failed, source.origin)
    notes = [*source.notes, *_notes(sampled, measured.reasons, former, rates, tasks)]
    sizing = size_fleet(run.fleet.name, tasks, sampled, rates, serial, cores, notes)
    write_cost_model(folder, rates)
    emit(Progress("sample", 1, 1, f"measured in {format_duration(time.perf_counter() - began)}"))
    return sizing


def _source(run: Run, scratch: Lake) -> _Source:
    """Return the fleet's lake if it is partitioned, else its raw files in the scratch lake; likewise scoring input."""
    apart, notes = Run(RunContext(run.fleet, scratch, run.context.run_id, run.context.home), run.workers), []
    used, origin = run, f"the lake {run.context.lake.uri}"
    if not recorded_buckets(run) or not run.table(SEGMENTS).files():
        used, origin = apart, "the raw files, since nothing has been partitioned"
        ingest_files(apart, "observations", run.fleet.source)
        partition_observations(apart)
    if run.fleet.score is None:
        return _Source(used, None, origin, ())
    if used.table(landed(run.fleet, "requests")).files():
        return _Source(used, used, origin, ())
    try:
        ingest_files(apart, "requests", run.fleet.score.source)
    except SourceError as exc:
        notes.append(f"scoring was measured without its input: {exc}")
        return _Source(used, None, origin, tuple(notes))
    return _Source(used, apart, origin, ())


def _whole(source: _Source, settings: str) -> FleetTasks:
    """Return the tasks of training all segments with enough rows, and of scoring the whole fleet."""
    run = source.run
    profiles = run.table(SEGMENTS).read(["segment", "rows", "excluded", "fingerprint", "bucket"]).to_pylist()
    planned, buckets = plan_segments(profiles, {}, run.fleet, settings), recorded_buckets(run)
    train = train_work(run, {0: planned}, plan_levels(profiles, {}, run.fleet, settings))
    if run.fleet.task_type.periodic:
        score = score_work(run, buckets)
    else:
        score = request_work(source.requests, buckets) if source.requests else []
    return FleetTasks(len(profiles), buckets, tuple(train), tuple(score))


def _notes(
    sampled: Sampled, reasons: Sequence[str], former: Summary | None, rates: CostModel, tasks: FleetTasks
) -> list[str]:
    """Return notes that a reader needs to understand the figures."""
    notes = []
    if sampled.segments < min(_ROUGH_SEGMENTS, tasks.segments):
        notes.append(
            f"{format_count(sampled.segments, 'segment')} are few: the figures are rough; take a larger --sample"
        )
    if sampled.failed:
        notes.append(f"{format_count(sampled.failed, 'sampled segment')} failed to train: {'; '.join(reasons)}")
    if rates.score is None:
        notes.append("there is no scoring input: what scoring takes is not known")
    others = [stage for stage in former.stages if stage.name not in _IN_TRAINING] if former else []
    if former and others:
        times = ", ".join(f"{stage.name} {format_duration(stage.seconds)}" for stage in others)
        notes.append(f"on top come the other stages, as in run {former.run_id}: {times}")
    else:
        notes.append("on top come ingest, partition, accuracy and the start of workers and Prefect")
    return notes
