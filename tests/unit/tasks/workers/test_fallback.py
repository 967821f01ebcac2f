"""The fallback chain: every prediction row says what predicted it, and why no model of its own did."""

from dataclasses import replace

import pytest
from changed import change_champions, drop_champion, fail_in_training
from shop import DEAD, SHORT, STRANGE, UNSEEN, shop

from domain.data.tables import PREDICTIONS
from models.inference.loaded_models import LoadedModels
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.score import score_fleet
from tasks.scoring_request import scoring_request
from tasks.workers.score import score_bucket

OWN = "store=1/brand=amber"
KEPT = ["status", "fallback_level", "candidate"]


def first_rows(run):
    rows = run.table(PREDICTIONS).read().to_pandas()
    return rows.sort_values(["segment", "time"]).groupby("segment", sort=True).nth(0).set_index("segment")


def test_each_kind_of_segment_says_why_another_model_stands_in(trained):
    run = trained.run()
    drop_champion(run, OWN)
    fail_in_training(run, OWN, "ridge: too large for me")
    drop_champion(run, "store=2/brand=amber")
    score_fleet(run)
    rows = first_rows(run)
    brand, short = "brand model, scaled by", "fewer than partition.min_rows = 20"
    expected = {
        UNSEEN: ("brand", "no model of its own (the segment was not there to train on); brand model"),
        STRANGE: ("global", "no model of its own (the segment was not there to train on); global model"),
        SHORT: ("brand", f"no model of its own (fallback: 6 rows, {short}); {brand}"),
        OWN: ("brand", f"no model of its own (failed: ridge: too large for me); {brand}"),
        "store=2/brand=amber": (
            "brand",
            f"no model of its own (its challenger was not promoted; see verdicts); {brand}",
        ),
        DEAD: ("", "the segment's newest row is 30 periods older than the fleet's newest"),
    }
    for segment, (level, reason) in expected.items():
        assert (rows.loc[segment].status, rows.loc[segment].fallback_level) == ("ok", level)
        assert rows.loc[segment].reason.startswith(reason), segment
    # A level's forecast is dated by the level's model; one that is up to date has nothing to say.
    assert rows.cutoff.notna().all()
    assert rows.isna().loc["store=3/brand=citra"].reason


def test_the_interval_of_a_fallback_covers_the_dispersion_of_segments(trained, monkeypatch):
    """SHORT is brought to size, UNSEEN may be of any size: both are wider than the level's own interval."""
    run = trained.run()
    request = scoring_request(run, 1, None)

    def rows():
        files = [file for bucket in range(3) for file in score_bucket(run.context, request, bucket).files]
        return run.table(PREDICTIONS).read_files(files).to_pandas()

    wide = rows()
    monkeypatch.setattr("models.inference.fallback.dispersion", lambda *arguments: 0.0)
    plain = rows()
    both = wide.merge(plain, on=["segment", "time"], suffixes=("", "_plain"))
    assert len(both) == len(wide)
    fallback = both.fallback_level.isin(["brand", "global"])
    width, before = both.upper - both.prediction, both.upper_plain - both.prediction_plain
    assert (width[fallback] > 1.01 * before[fallback]).all()
    assert both[fallback].segment.nunique() == 3
    assert (width[~fallback] == before[~fallback]).all()
    assert (both.lower >= 0).all()
    assert (both.lower <= both.prediction).all()


def test_a_dead_segment_without_a_model_says_both(trained):
    run = trained.run()
    drop_champion(run, DEAD)
    score_fleet(run)
    dead = first_rows(run).loc[DEAD]
    assert dead.fallback_level == "brand"
    assert "its challenger was not promoted" in dead.reason
    assert "the segment's newest row is 30 periods older than the fleet's newest" in dead.reason


def test_a_model_that_cannot_be_run_takes_the_chain_and_harms_no_other(trained):
    run = trained.run()
    change_champions(run, [OWN, "brand=citra", "store=2/brand=citra"], onnx=b"no graph")
    score_fleet(run)
    rows = first_rows(run)
    assert (rows.status == "ok").all()
    assert rows.loc[OWN].fallback_level == "brand"
    assert rows.loc[OWN].reason.startswith("no model of its own (the model cannot be run:")
    # The level cannot be run either: the next one stands in, and both are told.
    citra = rows.loc["store=2/brand=citra"]
    assert citra.fallback_level == "global"
    assert "(the model cannot be run:" in citra.reason
    assert "; brand: the model cannot be run:" in citra.reason
    assert rows.loc["store=1/brand=citra"].fallback_level == ""


def test_a_champion_whose_column_left_the_fleet_file_takes_the_chain_with_its_name(trained):
    """Models of the release need the price; the fleet file has no features any more, nor have the rows."""
    run = trained.run("run-2", shop(features={}, score=None))
    partition_observations(run)
    score_fleet(run)
    rows = first_rows(run)
    reason = "its champion needs price, which the fleet file no longer has; the brand model needs price"
    assert reason in rows.loc[OWN].reason
    assert "the global model needs price" in rows.loc[OWN].reason
    assert tuple(rows.loc[OWN][KEPT]) == ("ok", "naive", "naive")
    assert tuple(rows.loc[UNSEEN][["status", "reason"]]) == (
        "no_model",
        "no model of its own (the segment was not there to train on; the brand model needs price, which the fleet file "
        "no longer has; the global model needs price, which the fleet file no longer has) and no level has one; "
        "no usable row of its own either",
    )


def test_a_column_that_came_since_the_release_changes_nothing(trained):
    score_fleet(trained.run())
    before = first_rows(trained.run())
    run = trained.run("run-2", shop(features={"known": ["price"], "static": ["size"]}))
    trained.run().table(PREDICTIONS).replace([], lambda file: True)
    path = trained.folder / "sales" / "a.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",size", *(line + ",7" for line in lines[1:])]) + "\n")
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    score_fleet(run)
    after = first_rows(run)
    assert after.prediction.tolist() == pytest.approx(before.prediction.tolist())


def test_a_model_without_a_finite_number_takes_the_chain(trained, monkeypatch):
    plain = LoadedModels.run

    def huge(models, keys, features):
        return [
            replace(outputs, prediction=outputs.prediction * float("inf")) if key == OWN else outputs
            for key, outputs in zip(keys, plain(models, keys, features), strict=True)
        ]

    run = trained.run()
    monkeypatch.setattr(LoadedModels, "run", huge)
    score_fleet(run)
    own = first_rows(run).loc[OWN]
    assert own.fallback_level == "brand"
    assert "the model gives no finite number for the rows there are" in own.reason
