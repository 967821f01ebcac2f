import pandas as pd
import pyarrow as pa
import pytest
from shop import DEAD, SHORT, open_run, sales, shop

from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES
from domain.errors import TrainingError
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
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    summary = train_challengers(run)
    assert summary.outcomes == {"trained": 1, "reused": 6, "fallback": 1}
    after = {row["segment"]: row["sha256"] for row in run.table(CHALLENGERS).read().to_pylist()}
    changed = {segment for segment in before if before[segment] != after[segment]}
    assert "store=2/brand=citra" in changed
    assert not any(segment.startswith("store=") for segment in changed - {"store=2/brand=citra"})
    assert len(run.table(LEADERBOARD).read().to_pylist()) == len({*before}) * 4


def test_another_setting_trains_everything_again(trained):
    fleet = shop(horizon=3)
    summary = train_challengers(trained.run("run-2", fleet))
    assert summary.outcomes == {"trained": 7, "fallback": 1}


def test_too_many_failures_fail_the_run_but_keep_the_outcomes(trained):
    run = trained.run("run-2", shop(candidates=[{"name": "broken", "estimator": "shop.Broken"}]))
    before = run.table(CHALLENGERS).version()
    with pytest.raises(TrainingError, match=r"7 of 8 segments failed.*max_failed_share"):
        train_challengers(run)
    found = outcomes(run, "run-2")
    assert sum(row["outcome"] == "failed" for row in found.values()) == 7
    reasons = {row["reason"] for row in found.values() if row["outcome"] == "failed"}
    assert reasons == {"no candidate gave a finite forecast (broken: broken on purpose)"}
    assert run.table(CHALLENGERS).version() == before


def test_training_before_partitioning_says_what_to_do(tmp_path, workers):
    with pytest.raises(TrainingError, match="ingest and partition first"):
        train_challengers(open_run(tmp_path, workers))


def add_week(trained, store=2, brand="citra"):
    extra = sales().tail(1).assign(week=pd.Timestamp("2025-06-30").date(), store=store, brand=brand, units=80.0)
    extra.to_csv(trained.folder / "sales" / "more.csv", index=False)


def prepare(run):
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    return run


def test_unchanged_data_touches_no_model_and_calls_no_worker(trained):
    run = prepare(trained.run("run-2"))
    run.workers = None
    before = run.table(CHALLENGERS).version(), run.table(LEADERBOARD).version()
    summary = train_challengers(run)
    assert summary.outcomes == {"reused": 7, "fallback": 1}
    assert (summary.rows, summary.levels) == (0, 0)
    assert (run.table(CHALLENGERS).version(), run.table(LEADERBOARD).version()) == before
    assert {row["outcome"] for row in outcomes(run, "run-2").values()} == {"reused", "fallback"}


def test_only_the_buckets_of_changed_segments_are_written_again(trained):
    add_week(trained)
    run = trained.run("run-2")
    before = {file.path: file.partition["bucket"] for file in run.table(CHALLENGERS).files()}
    train_challengers(prepare(run))
    after = {file.path for file in run.table(CHALLENGERS).files()}
    (touched,) = {row["bucket"] for row in outcomes(run, "run-2").values() if row["outcome"] == "trained"}
    assert {before[path] for path in before.keys() - after} == {str(touched), "-1"}


def test_only_levels_with_a_changed_segment_are_trained_again(trained):
    add_week(trained)
    run = trained.run("run-2")
    summary = train_challengers(prepare(run))
    assert summary.levels == 2
    levels = [row for row in run.table(CHALLENGERS).read().to_pylist() if row["level"] != "segment"]
    assert {row["segment"]: row["run_id"] for row in levels} == {
        "*": "run-2",
        "brand=citra": "run-2",
        "brand=amber": "run-1",
    }


@pytest.mark.parametrize("policy", [{"policy": "refit"}, {"policy": "reselect", "every": 2}])
def test_a_refit_keeps_the_winner_and_takes_the_new_rows(trained, policy):
    add_week(trained)
    run = trained.run("run-2", shop(retraining=policy))
    changed = "store=2/brand=citra"
    before = {row["segment"]: row for row in run.table(CHALLENGERS).read().to_pylist()}
    train_challengers(prepare(run))
    after = {row["segment"]: row for row in run.table(CHALLENGERS).read().to_pylist()}
    assert after[changed]["candidate"] == before[changed]["candidate"]
    assert (after[changed]["refits"], after[changed]["rows"]) == (1, before[changed]["rows"] + 1)
    assert after[changed]["sha256"] != before[changed]["sha256"]
    assert "refitted as retraining says" in outcomes(run, "run-2")[changed]["reason"]


def test_a_frozen_fleet_keeps_the_models_of_changed_segments_but_trains_new_ones(trained):
    add_week(trained)
    new = sales().query("store == 1 and brand == 'amber'").assign(store=5)
    new.to_csv(trained.folder / "sales" / "new.csv", index=False)
    run = trained.run("run-2", shop(retraining={"policy": "frozen"}))
    summary = train_challengers(prepare(run))
    assert summary.outcomes == {"trained": 1, "reused": 7, "fallback": 1}
    found = outcomes(run, "run-2")
    assert found["store=5/brand=amber"]["outcome"] == "trained"
    assert "frozen" in found["store=2/brand=citra"]["reason"]


def test_a_winner_that_cannot_be_refitted_gives_way_to_a_choice(trained):
    candidates = ["seasonal_naive", {"name": "odd", "estimator": "shop.Broken"}]
    fleet = shop(retraining={"policy": "refit"}, candidates=candidates, combine=False)
    add_week(trained)
    run = trained.run("run-2", fleet)
    challengers = run.table(CHALLENGERS)
    rows = [row | {"candidate": "odd"} for row in challengers.read().to_pylist() if row["level"] == "segment"]
    for bucket in {row["bucket"] for row in rows}:
        part = pa.Table.from_pylist([row for row in rows if row["bucket"] == bucket], challengers.spec.schema)
        staged = challengers.stage(part, bucket=bucket)
        challengers.replace([staged], lambda file, bucket=bucket: file.partition["bucket"] == str(bucket))
    summary = train_challengers(prepare(run))
    assert summary.outcomes == {"trained": 7, "fallback": 1}
    assert set(summary.candidates) == {"seasonal_naive"}
