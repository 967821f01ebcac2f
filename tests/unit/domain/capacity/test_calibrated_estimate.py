from dataclasses import replace

import pytest
from reports import summary

from domain.capacity.calibrated_estimate import (
    by_cost_model,
    by_previous_run,
    compare_with_actual,
    is_newer,
    serial_parts,
    trained_most,
)
from domain.capacity.cost_model import CostModel, StageCost, Work
from domain.capacity.estimate import STAGE_SECONDS
from domain.checks.findings import Estimate
from domain.reporting.summary import OutcomeCounts, StageTime

PLAIN = Estimate(100, 2, 300, 20.0, 5.0, 10**9, 1000, 2)
RATES = CostModel(
    "abc",
    "2026-01-07T10:15:02+00:00",
    StageCost(1, 0, 0),
    StageCost(0.5, 0, 0),
    StageCost(0, 100, 0),
    None,
    3 * 10**8,
    2.0,
    0.25,
)


def test_measured_tasks_are_shared_between_the_workers():
    found = by_cost_model(PLAIN, RATES, [Work(10, 100)] * 5, [Work(10, 100)] * 4)
    assert found.train_seconds == pytest.approx(STAGE_SECONDS + 0.25 + 2.0 + 3 * 1.0)
    assert found.score_seconds == pytest.approx(STAGE_SECONDS + 2 * 0.5)
    assert found.basis == "myriad size of 7 Jan 2026, 10:15 UTC"
    assert by_cost_model(PLAIN, replace(RATES, score=None), [], []).score_seconds == PLAIN.score_seconds


def test_nothing_to_train_takes_no_first_task():
    assert by_cost_model(PLAIN, RATES, [], []).train_seconds == pytest.approx(STAGE_SECONDS + 0.25)


def test_a_former_run_corrects_the_built_in_figures():
    former = summary(stages=(StageTime("train", STAGE_SECONDS + 30.0), StageTime("score", STAGE_SECONDS + 8.0)))
    then = replace(PLAIN, train_seconds=STAGE_SECONDS + 15.0, score_seconds=STAGE_SECONDS + 16.0)
    found = by_previous_run(PLAIN, former, then)
    assert found.train_seconds == pytest.approx(STAGE_SECONDS + 2 * (20.0 - STAGE_SECONDS))
    assert found.score_seconds == pytest.approx(STAGE_SECONDS + (5.0 - STAGE_SECONDS) / 2)
    assert found.peak_memory_bytes == former.peak_rss_bytes
    assert found.basis == "run 20260107-1"


def test_a_stage_that_took_no_time_or_did_not_take_place_corrects_nothing():
    former = summary(stages=(StageTime("train", STAGE_SECONDS),))
    found = by_previous_run(PLAIN, former, PLAIN)
    assert (found.train_seconds, found.score_seconds) == (PLAIN.train_seconds, PLAIN.score_seconds)


def test_only_a_run_that_trained_most_of_the_fleet_tells_of_it():
    assert trained_most(summary())
    assert not trained_most(summary(outcomes=OutcomeCounts(trained=2, reused=4)))
    assert not trained_most(summary(segments=0, outcomes=OutcomeCounts()))


def test_the_newer_knowledge_counts():
    assert is_newer(summary(), RATES)
    assert not is_newer(summary(finished_at="2026-01-07T10:15:01+00:00"), RATES)


def test_figures_stand_beside_what_they_came_to():
    found = compare_with_actual(PLAIN, [StageTime("train", 10.0)], 2 * 10**9)
    assert {name: each.ratio for name, each in found.items()} == {"train_seconds": 0.5, "peak_memory_bytes": 2.0}
    assert compare_with_actual(None, [StageTime("train", 10.0)], 1) == {}
    nothing = replace(PLAIN, train_seconds=0.0)
    assert compare_with_actual(nothing, [StageTime("train", 1.0)], 1)["train_seconds"].ratio is None


def test_what_one_process_does_is_as_in_the_last_run_or_typical():
    typical = {part.name: part for part in serial_parts(1000, 0.5, None)}
    assert typical["register"].seconds == pytest.approx(STAGE_SECONDS + 1.2)
    assert "not measured" in typical["register"].source
    known = {part.name: part for part in serial_parts(1000, 0.5, summary(stages=(StageTime("register", 7.0),)))}
    assert (known["register"].seconds, known["register"].source) == (7.0, "as in run 20260107-1")
    assert known["promote"] == typical["promote"]
