import collections
import os
from pathlib import Path

import pandas as pd
import pytest
from shop import DEAD, SHORT, STRANGE, UNSEEN, future, open_run, sales, shop, train_all

from domain.data.tables import CHALLENGERS, CHAMPIONS, INPUTS, PREDICTIONS, landed
from domain.errors import ScoringError
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import current_release, promote_challengers, restore_release
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers


def predictions(run):
    return run.table(PREDICTIONS).read().to_pandas()


def keys(frame):
    return list(zip(frame.segment, frame.origin, frame.time, frame.release, strict=True))


def test_every_segment_gets_its_horizon_once_with_lineage(trained):
    run = trained.run()
    summary = score_fleet(run)
    rows = predictions(run)
    assert summary.rows == len(rows) == 10 * 4
    assert len(set(keys(rows))) == len(rows)
    own = rows[rows.segment == "store=1/brand=amber"].sort_values("step")
    assert own.step.tolist() == [1, 2, 3, 4]
    assert own.time.dt.strftime("%Y-%m-%d").tolist() == ["2025-02-24", "2025-03-03", "2025-03-10", "2025-03-17"]
    assert set(own.model_name) == {"shop.1.amber"}
    assert set(own.model_version) == {1}
    assert set(own.fallback_level) == {""}
    assert (own.lower <= own.prediction).all()
    assert (own.prediction <= own.upper).all()
    assert (own.lower >= 0).all()
    for column in ("job_id", "input_id", "scored_at", "release", "status"):
        assert rows[column].notna().all()


def test_short_and_unseen_segments_take_the_first_level_that_has_a_model(trained):
    run = trained.run()
    score_fleet(run)
    rows = predictions(run).groupby("segment").first()
    assert rows.loc[SHORT, "fallback_level"] == "brand"
    assert rows.loc[SHORT, "model_name"] == "shop.fallback.brand-amber"
    assert "scaled by" in rows.loc[SHORT, "reason"]
    assert rows.loc[UNSEEN, "fallback_level"] == "brand"
    assert rows.loc[UNSEEN, "model_name"] == "shop.fallback.brand-citra"
    assert rows.loc[STRANGE, "fallback_level"] == "global"
    assert rows.loc[DEAD, "fallback_level"] == ""


def test_without_a_chain_there_is_a_naive_value_or_no_model_but_never_a_made_up_number(trained):
    run = trained.run("run-2", shop(fallback=[]))
    score_fleet(run)
    rows = predictions(run)
    unseen = rows[rows.segment == UNSEEN]
    assert set(unseen.status) == {"no_model"}
    assert unseen.prediction.isna().all()
    assert unseen.model_name.isna().all()
    assert len(unseen) == 4
    short = rows[rows.segment == SHORT]
    assert set(short.candidate) == {"naive"}
    assert short.prediction.notna().all()


def test_covariates_that_change_back_bring_their_forecasts_back(trained):
    run = trained.run()
    forecasts = []
    for price, stores in ((2.5, 9), (4.0, 2), (2.5, 9), (4.0, 2)):
        plans = future().assign(price=price)
        plans[plans.store <= stores].to_csv(trained.folder / "future" / "a.csv", index=False)
        ingest_files(run, "requests", run.fleet.score.source)
        summary = score_fleet(run)
        assert (summary.repeated, score_fleet(run).repeated) == (False, True)
        rows = predictions(run).query("segment == 'store=1/brand=amber'").sort_values("step")
        assert set(rows.job_id) == {summary.job_id}
        forecasts.append(rows.prediction.tolist())
    assert forecasts[:2] == forecasts[2:]
    assert forecasts[0] != forecasts[1]


def test_rows_without_a_model_are_replaced_too(trained):
    run = trained.run("run-2", shop(fallback=[]))
    score_fleet(run)
    future().assign(price=4.0).to_csv(trained.folder / "future" / "a.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    unseen = predictions(run).query("segment == @UNSEEN")
    assert len(unseen) == 4
    assert not unseen.duplicated(["segment", "time", "release"]).any()


def test_a_segment_whose_every_row_is_excluded_does_not_vanish(trained):
    """Outliers are excluded by a threshold that nothing passes."""
    strict = {"outliers": "exclude", "outlier_threshold": 1e-9}
    for fallback, status in (([], {"no_model"}), (["global"], {"no_model", "ok"})):
        run = trained.run("run-2", shop(validation=strict, fallback=fallback))
        partition_observations(run)
        restore_release(run, 1)
        score_fleet(run)
        rows = predictions(run).query("release == @run_release", local_dict={"run_release": current_release(run)})
        assert rows.segment.nunique() == 10
        assert set(rows.status) <= status | {"ok"}


def test_champions_of_trainings_with_other_settings_are_scored_side_by_side(trained):
    """One segment is trained with another horizon and promoted; the others keep their former champions."""
    run = trained.run("run-2", shop(horizon=3, features={"known": ["price"], "lags": [1, 4]}))
    train_challengers(run)
    register_challengers(run, trained.registry)
    table = run.table(CHALLENGERS)
    kept = [file for file in table.files() if file.partition["bucket"] == "1"]
    table.replace([], lambda file: file not in kept)
    promote_challengers(run)
    score_fleet(run)
    rows = predictions(run)
    assert rows[rows.status == "ok"].prediction.notna().all()
    assert set(rows.groupby("segment").size()) == {3, 4}


def test_the_same_job_is_committed_once(trained):
    first = score_fleet(trained.run("run-2"))
    version = trained.run().table(PREDICTIONS).version()
    second = score_fleet(trained.run("run-3"))
    assert (second.job_id, second.rows, second.repeated) == (first.job_id, first.rows, True)
    assert trained.run().table(PREDICTIONS).version() == version


def test_new_covariates_replace_forecasts_of_the_same_origin_and_release(trained):
    run = trained.run()
    score_fleet(run)
    before = predictions(run)
    future().assign(price=4.0).to_csv(trained.folder / "future" / "a.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    after = predictions(run)
    assert len(after) == len(before)
    assert len(set(keys(after))) == len(after)
    assert after.prediction.sum() < before.prediction.sum()


def test_forecasts_of_another_release_stand_beside(trained):
    run = trained.run()
    score_fleet(run)
    restore_release(run, 1)
    score_fleet(run)
    rows = predictions(run)
    assert collections.Counter(rows.release) == {1: 40, 2: 40}
    score_fleet(run, release=1)
    assert len(predictions(run)) == 80


def test_new_observations_change_the_forecast_of_a_model_that_was_not_retrained(trained):
    run = trained.run()
    score_fleet(run)
    extra = pd.DataFrame([("2025-02-24", 1, "amber", 500.0, 2.5)], columns=["week", "store", "brand", "units", "price"])
    extra.to_csv(trained.folder / "sales" / "z.csv", index=False)
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    score_fleet(run)
    rows = predictions(run)
    own = rows[rows.segment == "store=1/brand=amber"]
    assert set(own.model_version) == {1}
    assert own.origin.nunique() == 2
    overlapping = own[own.time == pd.Timestamp("2025-03-03", tz="UTC")]
    assert overlapping.prediction.nunique() == 2
    assert len(set(keys(rows))) == len(rows)


def test_missing_covariates_are_told_or_rejected(trained):
    (trained.folder / "future" / "a.csv").write_text("week,store,brand,price\n2025-02-24,1,amber,2.5\n")
    run = trained.run()
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    own = predictions(run).query("segment == 'store=1/brand=amber'").sort_values("step")
    assert pd.isna(own.reason.iloc[0])
    assert own.reason.iloc[1:].str.contains("carried forward").all()
    strict = shop(score={"source": {"path": "future/*.csv"}, "missing_covariates": "reject"})
    restore_release(run, 1)
    score_fleet(trained.run("run-3", strict))
    rows = predictions(run).query("segment == 'store=1/brand=amber' and release == 2").sort_values("step")
    assert rows.status.tolist() == ["ok"] + ["missing_covariates"] * 3
    assert rows.prediction.isna().tolist() == [False, True, True, True]


def test_scoring_before_anything_was_ingested_says_what_to_do(tmp_path, workers):
    with pytest.raises(ScoringError, match="ingest and partition first"):
        score_fleet(open_run(tmp_path, workers))


def test_scoring_with_a_release_that_is_not_kept_names_those_that_are(trained):
    with pytest.raises(ScoringError, match=r"release 7 is not kept; choose one of \[1\]"):
        score_fleet(trained.run(), release=7)


def test_before_the_first_release_every_segment_takes_the_end_of_the_chain(trained):
    run = trained.run()
    run.table(CHAMPIONS).replace([], lambda file: True, transaction=("test", 1))
    summary = score_fleet(run)
    assert summary.release == 0
    assert summary.statuses == {"ok": 8 * 4, "no_model": 2 * 4}
    assert summary.levels == {"naive": 8 * 4}
    assert score_fleet(run).levels == summary.levels


def test_the_newest_input_wins_and_every_step_names_the_input_it_is_from(trained):
    """Names do not decide: part-9 is older than part-10."""
    folder, run = trained.folder / "future", trained.run()
    (folder / "a.csv").unlink()
    frame = future()
    own = frame[(frame.store == 1) & (frame.brand == "amber")]
    for name, price, rows, age in (
        ("part-9", 1.5, own, 100),
        ("part-10", 3.0, own.head(2), 0),
        ("z", 2.0, own.head(0), 50),
    ):
        path = folder / f"{name}.csv"
        rows.assign(price=price).to_csv(path, index=False)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    run.table(landed(run.fleet, "requests")).replace([], lambda file: True, transaction=("test", 1))
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    rows = predictions(run).query("segment == 'store=1/brand=amber'").sort_values("step")
    inputs = run.table(INPUTS).read(where=lambda partition: partition["role"] == "requests").to_pandas()
    ids = {Path(path).stem: input_id for path, input_id in zip(inputs.path, inputs.input_id, strict=True)}
    assert rows.input_id.tolist() == [ids["part-10"]] * 2 + [ids["part-9"]] * 2
    assert rows.prediction.iloc[:2].mean() < rows.prediction.iloc[2:].mean()


def test_a_fallback_below_zero_is_shifted_not_scaled(trained):
    """Targets around -100 and -10 under a level that is negative too."""
    fleet = shop(target={"column": "units"}, partition={"buckets": 3, "min_rows": 50})
    path = trained.folder / "sales" / "a.csv"
    sales().assign(units=lambda frame: frame.units - 1000).to_csv(path, index=False)
    run = trained.run("run-2", fleet)
    train_all(run, trained.registry)
    promote_challengers(run)
    score_fleet(run)
    short = predictions(run).query("segment == @SHORT and release == 2")
    own = sales().query("store == 9").units.mean() - 1000
    assert short.reason.str.contains("shifted by").all()
    assert abs(short.prediction.mean() - own) < 200


def test_a_table_that_changed_meanwhile_is_looked_at_again(trained, monkeypatch):
    """Another job commits while this one computes: the overlap is found out anew and nothing is doubled."""
    run, rival = trained.run("run-2"), trained.run("run-3")
    plain, raced = run.workers.map, []

    def racing(stage, function, items, retries=2, before=0, weight=None):
        results = plain(stage, function, items, retries, before)
        if stage == "score" and not raced:
            raced.append(True)
            restore_release(rival, 1)
            score_fleet(rival, release=1)
        return results

    monkeypatch.setattr(run.workers, "map", racing)
    score_fleet(run)
    rows = predictions(run)
    assert len(set(keys(rows))) == len(rows)
