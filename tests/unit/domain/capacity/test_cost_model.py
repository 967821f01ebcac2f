import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.capacity.cost_model import (
    CostModel,
    Measurement,
    StageCost,
    Work,
    cost_model_json,
    fit_memory,
    fit_stage_cost,
    parse_cost_model,
)

RATES = CostModel(
    "abc", "2026-01-07T10:15:02+00:00", StageCost(0.1, 0.02, 1e-5), None, StageCost(0, 1e5, 10), None, 3 * 10**8, 2, 1
)
works = st.builds(Work, st.integers(1, 500), st.integers(1, 10**6))


@given(st.floats(0, 5), st.floats(1e-4, 1), st.floats(0, 1e-3))
def test_what_is_linear_is_found_and_holds_for_other_tasks(fixed, per_segment, per_row):
    made = StageCost(fixed, per_segment, per_row)
    pieces = [Work(25, 2_500), Work(90, 3_000), Work(90, 20_000), Work(4, 40_000)]
    found = fit_stage_cost(pieces, [made.of(work) for work in pieces])
    assert found.of(Work(128, 16_000)) == pytest.approx(made.of(Work(128, 16_000)), rel=0.1)


@given(st.lists(st.tuples(works, st.floats(0.001, 1e3)), min_size=1, max_size=6))
def test_no_term_is_negative_and_the_sum_is_what_was_measured(pieces):
    found = fit_stage_cost([work for work, _ in pieces], [seconds for _, seconds in pieces])
    assert min(found.fixed, found.per_segment, found.per_row) >= 0
    told = sum(found.of(work) for work, _ in pieces)
    assert told == pytest.approx(sum(seconds for _, seconds in pieces))


def test_a_single_task_is_taken_to_grow_with_its_segments():
    found = fit_stage_cost([Work(10, 1_000)], [2.0])
    assert found.of(Work(20, 2_000)) == pytest.approx(4.0)


def test_equal_tasks_of_unequal_size_are_a_fixed_cost():
    found = fit_stage_cost([Work(10, 100), Work(100, 1_000)], [3.0, 3.0])
    assert found == StageCost(pytest.approx(3.0), 0, 0)


def test_nothing_measured_costs_nothing():
    assert fit_stage_cost([], []) == fit_stage_cost([Work(1, 1)], [0.0]) == StageCost(0, 0, 0)


@given(st.lists(st.tuples(works, st.integers(10**6, 10**9)), min_size=1, max_size=5))
def test_no_measured_task_needs_more_memory_than_told(measured):
    pieces = [Measurement(work, 1.0, size) for work, size in measured]
    found, idle = fit_memory(pieces, 10**6), 10**6
    assert all(idle + found.of(piece.work) >= piece.peak_bytes * (1 - 1e-9) for piece in pieces)


def test_memory_of_a_worker_is_that_of_its_task_beside_its_own():
    assert RATES.peak_bytes([Work(10, 1_000), Work(100, 0)], [Work(9, 9)]) == [310_000_000, 301_010_000]
    assert RATES.peak_bytes([], []) == [300_000_000]


def test_rates_are_read_back_as_they_were():
    assert parse_cost_model(cost_model_json(RATES)) == RATES


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", cost_model_json(RATES)[:-20], cost_model_json(RATES).replace("0.1", '"x"')]
)
def test_what_is_no_rates_is_none(text):
    assert parse_cost_model(text) is None
