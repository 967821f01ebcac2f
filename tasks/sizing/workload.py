"""Tasks of a future training or scoring, by size, from the tables."""

from collections.abc import Mapping, Sequence

import numpy as np

from domain.capacity.cost_model import Work
from domain.capacity.workload import bucket_work, level_work
from domain.data.parts import input_part
from domain.data.segments import bucket_of
from domain.data.tables import PREDICTIONS, SEGMENTS, landed
from models.training.plan import SegmentPlan
from tasks.context import Run

__all__ = ["request_work", "score_work", "train_work"]

_PROFILE = ["segment", "rows", "excluded", "bucket"]


def train_work(run: Run, segments: Mapping[int, Sequence[SegmentPlan]], levels: Sequence[SegmentPlan]) -> list[Work]:
    """Return the tasks of a planned training; the one for the levels comes first, if any level is trained."""
    profiles = run.table(SEGMENTS).read(_PROFILE).to_pylist()
    work = bucket_work(profiles, {item.segment for planned in segments.values() for item in planned if item.trains})
    of_levels = level_work(profiles, {item.segment for item in levels if item.trains}, run.fleet)
    return [of_levels, *work] if of_levels.segments else work


def score_work(run: Run, buckets: int) -> list[Work]:
    """Return the tasks of the next scoring: all segments of a forecast fleet, else input that is not scored yet."""
    if run.fleet.task_type.periodic:
        return bucket_work(run.table(SEGMENTS).read(_PROFILE).to_pylist())
    done = {file.partition["part"] for file in run.table(PREDICTIONS).files()}
    return request_work(run, buckets, done)


def request_work(run: Run, buckets: int, done: set[str] | frozenset[str] = frozenset()) -> list[Work]:
    """Return segments and rows of the scoring input per bucket that has any. done : parts that are left out."""
    table = run.table(landed(run.fleet, "requests"))
    files = table.files(lambda partition: input_part(partition["input_id"]) not in done)
    hashes = table.read_files(files, ["hash"])["hash"].to_numpy()
    distinct = np.bincount(bucket_of(np.unique(hashes), buckets), minlength=buckets)
    rows = np.bincount(bucket_of(hashes, buckets), minlength=buckets)
    return [Work(*pair) for pair in zip(distinct.tolist(), rows.tolist(), strict=True) if pair[1]]
