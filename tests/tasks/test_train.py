import pandas as pd
import pytest
from shop import DEAD, SHORT, open_run, sales, shop

from models.errors import TrainingError
from models.tables import CHALLENGERS, LEADERBOARD, OUTCOMES
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.train import train_challengers


def outcomes(run, run_id):
    rows = run.table(OUTCOMES).read(where=lambda partition: partition["run_id"] == run_id).to_pylist()
    assert len(rows) == len({row["segment"] for row in rows}), "a segment has two outcomes"
    return {row["segment"]: row for row in rows}


def test_every_segment_has_exactly_one_outcome_with_a_reason(trained):
    run = trained.run()
    found = outcomes(run, "run-1")
    assert len(found) == 8
    assert found[SHORT]["outcome"] == "fallback"
    assert "6 rows" in found[SHORT]["reason"]
    assert found[DEAD]["outcome"] == "trained"
    assert sum(row["outcome"] == "trained" for row in found.values()) == 7


def test_levels_are_trained_beside_the_segments(trained):
    rows = trained.run().table(CHALLENGERS).read(["segment", "level", "model_name"]).to_pylist()
    assert {(row["segment"], row["level"]) for row in rows if row["level"] != "segment"} == {
        ("*", "global"),
        ("brand=amber", "brand"),
        ("brand=citra", "brand"),
    }
    assert len({row["model_name"] for row in rows}) == len(rows)


def test_unchanged_segments_are_reused_and_only_a_changed_one_is_trained_again(trained):
    extra = sales().tail(1).assign(week=pd.Timestamp("2025-06-30").date(), store=2, brand="citra", units=80.0)
    extra.to_csv(trained.folder / "sales" / "b.csv", index=False)
    run = trained.run("run-2")
    before = {row["segment"]: row["sha256"] for row in run.table(CHALLENGERS).read().to_pylist()}
    ingest_files.fn(run, "observations", run.fleet.source)
    partition_observations.fn(run)
    summary = train_challengers.fn(run)
    assert summary.outcomes == {"trained": 1, "reused": 6, "fallback": 1}
    after = {row["segment"]: row["sha256"] for row in run.table(CHALLENGERS).read().to_pylist()}
    changed = {segment for segment in before if before[segment] != after[segment]}
    assert "store=2/brand=citra" in changed
    assert not any(segment.startswith("store=") for segment in changed - {"store=2/brand=citra"})
    assert len(run.table(LEADERBOARD).read().to_pylist()) == len({*before}) * 4


def test_another_setting_trains_everything_again(trained):
    fleet = shop(horizon=3)
    summary = train_challengers.fn(trained.run("run-2", fleet))
    assert summary.outcomes == {"trained": 7, "fallback": 1}


def test_too_many_failures_fail_the_run_but_keep_the_outcomes(trained):
    run = trained.run("run-2", shop(candidates=[{"name": "broken", "estimator": "shop.Broken"}]))
    before = run.table(CHALLENGERS).version()
    with pytest.raises(TrainingError, match=r"7 of 8 segments failed.*max_failed_share"):
        train_challengers.fn(run)
    found = outcomes(run, "run-2")
    assert sum(row["outcome"] == "failed" for row in found.values()) == 7
    reasons = {row["reason"] for row in found.values() if row["outcome"] == "failed"}
    assert reasons == {"no candidate gave a finite forecast (broken: broken on purpose)"}
    assert run.table(CHALLENGERS).version() == before


def test_training_before_partitioning_says_what_to_do(tmp_path, workers):
    with pytest.raises(TrainingError, match="ingest and partition first"):
        train_challengers.fn(open_run(tmp_path, workers))
