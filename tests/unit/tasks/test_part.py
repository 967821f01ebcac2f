"""A run for a part of the fleet trains that part, and neither deletes nor demotes the rest."""

from dataclasses import replace

import pytest
from shop import shop

from domain.data.segment_search import matches_pattern
from domain.data.tables import CHALLENGERS, CHAMPIONS, LEADERBOARD, OUTCOMES
from domain.errors import RequestError
from tasks.context import Run
from tasks.plan import plan_training
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers

KEY = "store=1/brand=amber"


def part_of(trained, pattern, fleet=None):
    run = trained.run("run-2", fleet)
    return Run(replace(run.context, part=pattern), run.workers)


def models(run, spec):
    """Fingerprint of every model; of champions only those in force."""
    names = ["segment", "fingerprint", *(["release"] if spec is CHAMPIONS else [])]
    rows = run.table(spec).read(names).to_pylist()
    newest = max(row.get("release", 0) for row in rows)
    return {row["segment"]: row["fingerprint"] for row in rows if row.get("release", 0) == newest}


def outcomes(run):
    return run.table(OUTCOMES).read(where=lambda partition: partition["run_id"] == "run-2").to_pylist()


@pytest.fixture
def changed():
    """The shop with another setting, by which every model is outdated."""
    return shop(backtest={"folds": 2, "metric": "mae"})


def test_only_what_matches_is_trained_and_the_rest_keeps_its_models(trained, changed):
    run = part_of(trained, "1/amber", changed)
    challengers, champions = models(run, CHALLENGERS), models(run, CHAMPIONS)
    board = set(run.table(LEADERBOARD).read(["segment"])["segment"].to_pylist())
    summary = train_challengers(run)
    assert (summary.outcomes["trained"], summary.levels) == (1, 0)
    now = models(run, CHALLENGERS)
    assert now.keys() == challengers.keys()
    assert {key for key in now if now[key] != challengers[key]} == {KEY}
    assert set(run.table(LEADERBOARD).read(["segment"])["segment"].to_pylist()) == board
    register_challengers(run, trained.registry)
    promote_challengers(run)
    in_force = models(run, CHAMPIONS)
    assert in_force.keys() == champions.keys()
    assert {key for key in in_force if in_force[key] != champions[key]} <= {KEY}
    assert score_fleet(run).segments >= len(outcomes(run))


def test_every_segment_has_an_outcome_that_says_why_it_was_left(trained, changed):
    run = part_of(trained, "store=1/*", changed)
    train_challengers(run)
    rows = outcomes(run)
    left = [row for row in rows if row["outcome"] == "reused"]
    assert left
    assert {row["reason"] for row in left} == {"not part of this run, which is for store=1/*"}
    assert not any(row["segment"].startswith("store=1/") for row in left)
    assert len(rows) == len({row["segment"] for row in rows})


def test_the_next_whole_run_trains_what_was_left(trained, changed):
    train_challengers(part_of(trained, "1/amber", changed))
    whole = plan_training(trained.run("run-3", changed))
    actions = {item.segment: item.action for planned in whole.segments.values() for item in planned}
    assert actions.pop(KEY) == "reuse"
    assert "reuse" not in actions.values()
    assert any(item.trains for item in whole.levels)


def test_segments_without_a_model_are_skipped_where_nothing_is_trained_yet(trained, changed):
    run = part_of(trained, "1/amber", changed)
    for spec in (CHALLENGERS, CHAMPIONS, LEADERBOARD):
        run.table(spec).replace([], lambda file: True)
    summary = train_challengers(run)
    assert summary.outcomes["trained"] == 1
    assert summary.outcomes["skipped"] >= summary.segments - 1 - summary.outcomes.get("fallback", 0)
    assert models(run, CHALLENGERS).keys() == {KEY}


def test_a_pattern_that_matches_nothing_is_refused_with_what_there_is(trained):
    with pytest.raises(RequestError, match=r"--segments 7/ambr: none of \d+ segments matches; .*closest: "):
        plan_training(part_of(trained, "7/ambr"))


@pytest.mark.parametrize("pattern", ["store=1/*", "1/*", "*/brand=amber", "1/amber", KEY, "*amber"])
def test_patterns_match_keys_or_values(pattern):
    assert matches_pattern(KEY, pattern)
    assert not matches_pattern("store=2/brand=citra", pattern)
