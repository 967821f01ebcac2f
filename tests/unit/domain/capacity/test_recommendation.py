from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.capacity.cost_model import CostModel, StageCost, Work
from domain.capacity.recommendation import FleetTasks, Sampled, SerialPart, size_fleet

GIB = 2**30
SAMPLED = Sampled(200, 20_000, 0, "lake")
RATES = CostModel(
    settings="abc",
    measured_at="2026-01-07T10:15:02+00:00",
    train=StageCost(0.5, 0.1, 0.0),
    score=StageCost(0.1, 0.01, 0.0),
    train_bytes=StageCost(0.0, 10**6, 0.0),
    score_bytes=StageCost(0.0, 10**5, 0.0),
    idle_bytes=3 * 10**8,
    first_seconds=2.0,
    commit_seconds=0.5,
)

REGISTER = (SerialPart("register", 10.0, "typical"),)


def size(segments=(100,) * 8, levels=4, cores=2, serial=REGISTER, **changes):
    works = tuple(Work(count, 100 * count) for count in segments)
    train = (Work(levels, 400), *works) if levels else works
    tasks = FleetTasks(sum(segments), len(segments), train, works)
    return size_fleet("shop", tasks, SAMPLED, replace(RATES, **changes), serial, cores)


def test_one_worker_takes_the_sum_of_all_tasks():
    one = size().options[0]
    assert one.workers == 1
    assert one.train_seconds == pytest.approx(2.0 + 0.9 + 8 * 10.5)
    assert one.score_seconds == pytest.approx(8 * 1.1)
    assert one.seconds == pytest.approx(one.train_seconds + one.score_seconds + 10)
    assert one.train_worker_hours == pytest.approx(one.train_seconds / 3600)


def test_workers_end_where_the_largest_task_is_all_that_is_left():
    found = size(levels=0)
    assert [option.workers for option in found.options] == [1, 2, 4, 8]
    assert found.enough == 8
    assert found.options[-1].train_seconds == pytest.approx(2.0 + found.largest_seconds)
    uneven = size(segments=(800, 100, 100), levels=0)
    assert [option.workers for option in uneven.options] == [1, 2]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(0, 50))
def test_more_workers_are_never_slower_and_never_cheaper_than_the_work_itself(segments, levels):
    options = size(segments=segments, levels=levels).options
    for fewer, more in pairwise(options):
        assert more.seconds <= fewer.seconds + 1e-6
        assert more.train_worker_hours >= options[0].train_worker_hours - 1e-9
    assert [option.workers for option in options] == sorted({option.workers for option in options})


def test_memory_is_the_smallest_size_that_holds_the_largest_task_with_a_margin():
    found = size(segments=(100, 900), levels=0)
    assert found.peak_bytes == 12 * 10**8
    assert found.needed_bytes == pytest.approx(12 * 10**8 * 1.25 / 0.8)
    assert next(one.size_bytes for one in found.memory if one.fits) == 2 * 10**9
    assert found.recommended.memory_bytes == 2 * 10**9
    assert found.options[-1].memory_bytes == found.options[-1].workers * 2 * 10**9


def test_where_no_size_is_enough_none_is_recommended():
    found = size(idle_bytes=10**12)
    assert not any(one.fits for one in found.memory)
    assert found.recommended.memory_bytes is None


def test_workers_are_recommended_as_long_as_doubling_them_saves_a_fifth():
    cheap = size(segments=(100,) * 64, levels=0, serial=())
    assert cheap.recommended.workers == 64
    dominated = size(segments=(100,) * 64, levels=0, serial=(SerialPart("register", 10_000.0, "typical"),))
    assert dominated.recommended.workers == 1
    assert (cheap.here.workers, size(segments=(100,) * 64, cores=1).here.workers) == (2, 1)


def test_nothing_to_score_takes_no_time():
    found = size(score=None, score_bytes=None)
    assert {option.score_seconds for option in found.options} == {0}
