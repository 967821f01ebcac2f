from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.capacity.makespan import enough_workers, lower_bound, makespan

seconds = st.lists(st.floats(0.001, 1e4), max_size=40)
counts = st.integers(1, 64)
CLOSE = 1e-9


@given(seconds, counts)
def test_no_schedule_beats_an_even_share_or_the_largest_task(tasks, workers):
    found = makespan(tasks, workers)
    assert found >= lower_bound(tasks, workers) * (1 - CLOSE)
    assert found >= max(tasks, default=0.0)
    assert found >= sum(tasks) / workers * (1 - CLOSE)


@given(seconds, counts)
def test_one_more_worker_never_takes_longer(tasks, workers):
    assert makespan(tasks, workers + 1) <= makespan(tasks, workers) * (1 + CLOSE)


@given(seconds, counts)
def test_the_last_task_ends_no_later_than_grahams_bound(tasks, workers):
    bound = sum(tasks) / workers + (1 - 1 / workers) * max(tasks, default=0.0)
    assert makespan(tasks, workers) <= bound * (1 + CLOSE)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=7), st.integers(1, 3))
def test_largest_first_is_within_four_thirds_of_the_best_schedule_there_is(tasks, workers):
    best = min(
        max(sum(task for task, at in zip(tasks, places, strict=True) if at == worker) for worker in range(workers))
        for places in product(range(workers), repeat=len(tasks))
    )
    assert makespan(tasks, workers) <= (4 / 3 - 1 / (3 * workers)) * best * (1 + CLOSE)


@given(st.lists(st.floats(0.001, 1e4), max_size=20), st.randoms())
def test_the_order_of_the_tasks_does_not_matter(tasks, random):
    shuffled = random.sample(tasks, len(tasks))
    assert makespan(shuffled, 3) == pytest.approx(makespan(tasks, 3))


@given(seconds)
def test_enough_workers_are_the_fewest_that_take_as_long_as_the_largest_task(tasks):
    enough, largest = enough_workers(tasks), max(tasks, default=0.0)
    assert makespan(tasks, enough) == pytest.approx(largest)
    assert enough == 1 or makespan(tasks, enough - 1) > largest


def test_the_largest_task_goes_first():
    # In the given order the 5 would begin when all else is done, and end at 8.
    assert makespan([3, 3, 5, 1], 2) == 6
    assert makespan([7], 100) == 7
    assert makespan([], 3) == 0


def test_without_a_worker_nothing_is_done():
    with pytest.raises(ValueError, match="workers: 0 is not allowed; at least 1"):
        makespan([1], 0)
