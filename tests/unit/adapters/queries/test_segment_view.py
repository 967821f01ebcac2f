"""Everything of one segment, and the lineage of one prediction, down to the files."""

import math

import pandas as pd
import pytest
from shop import DEAD, SHORT, STRANGE, UNSEEN, open_run, sales, shop, train_all

from adapters.lake.table import Lake
from adapters.queries.fleet_tables import FleetTables
from adapters.queries.predictions import explain_prediction
from adapters.queries.segment_rows import resolve_segment
from adapters.queries.segment_view import explain_segment
from adapters.registry import Registry
from domain.data.segments import segment_key
from domain.data.tables import CHAMPIONS
from domain.errors import UnknownNameError
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers, restore_release
from tasks.score import score_fleet

AMBER = "store=1/brand=amber"
HOSTILE = ["a/b", "a", "50%", "%2F", "x y", "Größe", "日本", "a=b", "*", "-v"]


@pytest.fixture
def tables(trained):
    score_fleet(trained.run())
    return FleetTables(Lake(str(trained.folder / "lake")), "shop")


def test_a_segment_from_its_file_to_its_forecast(trained, tables):
    view = explain_segment(tables, AMBER, shop())
    assert (view.level, view.release, view.values) == ("segment", 1, {"store": "1", "brand": "amber"})
    assert (view.data.rows, len(view.data.targets), view.data.gaps, view.rejected) == (60, 60, 0, ())
    assert [file.path for file in view.inputs] == [str(trained.folder / "sales" / "a.csv")]
    assert [(file.rows, file.trained) for file in view.inputs] == [(60, 60)]
    (chosen,) = [rank for rank in view.leaderboard if rank.selected]
    assert chosen.candidate == view.challenger.candidate == view.champion.model.candidate
    assert view.choice.startswith(f"{chosen.candidate} with error ")
    assert [(row.run_id, row.outcome) for row in view.outcomes] == [("run-1", "trained")]
    assert {verdict.gate for verdict in view.verdicts} >= {"rows", "baseline", "parity", "size", "latency"}
    champion = view.champion
    assert (champion.release, champion.since_release, champion.kind, champion.source) == (1, 1, "promotion", "run-1")
    assert champion.model.model_version == view.challenger.model_version == 1
    assert champion.model.sha256 == view.challenger.sha256
    assert champion.model.size_bytes > 1_000
    assert [row.step for row in view.predictions] == [1, 2, 3, 4]
    assert {row.model_name for row in view.predictions} == {"shop.1.amber"}


def test_segments_without_a_model_of_their_own_name_their_fallback(tables):
    short, strange = explain_segment(tables, SHORT), explain_segment(tables, STRANGE)
    assert (short.champion, short.challenger, short.leaderboard, short.choice) == (None, None, (), "")
    assert short.outcomes[0].outcome == "fallback"
    assert {row.fallback_level for row in short.predictions} == {"brand"}
    assert (strange.data, strange.inputs) == (None, ())
    assert {row.fallback_level for row in strange.predictions} == {"global"}


def test_a_fallback_level_is_explained_too(tables):
    view = explain_segment(tables, resolve_segment(tables, ["brand=amber"], "shop"))
    assert (view.level, view.data, view.champion.model.model_name) == ("brand", None, "shop.fallback.brand-amber")
    assert explain_segment(tables, resolve_segment(tables, ["*"], "shop")).level == "global"


def test_only_quarantined_rows_of_the_segment_are_listed(trained):
    frame = sales()
    frame.loc[frame.index[3], "units"] = math.nan  # of store 1, brand amber
    frame.loc[frame.index[-1], "units"] = math.nan  # of the segment that ended long ago
    frame = pd.concat([frame, frame.iloc[[5]]])
    frame.to_csv(trained.folder / "sales" / "a.csv", index=False)
    run = trained.run()
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    tables = FleetTables(run.context.lake, "shop")
    rejected = explain_segment(tables, AMBER).rejected
    assert [(row.stage, row.reason, row.row) for row in rejected] == [
        ("observations", "null_target", 3),
        ("partition", "duplicate", len(frame) - 1),
    ]
    assert [row.reason for row in explain_segment(tables, DEAD).rejected] == ["null_target"]


def test_a_prediction_is_followed_back_to_its_files_and_release(trained, tables):
    time = f"{explain_segment(tables, AMBER).predictions[1].time:%Y-%m-%d}"
    lineage = explain_prediction(tables, AMBER, time, None)
    assert (lineage.prediction.step, lineage.prediction.model_name, lineage.others) == (2, "shop.1.amber", ())
    assert (lineage.made_by.release, lineage.made_by.source, lineage.made_by.model.run_id) == (1, "run-1", "run-1")
    assert [(file.path, file.rows) for file in lineage.inputs] == [(str(trained.folder / "sales" / "a.csv"), 60)]
    assert lineage.covariates.path == str(trained.folder / "future" / "a.csv")


def test_a_prediction_of_a_fallback_goes_back_to_the_rows_of_the_whole_level(tables):
    time = explain_segment(tables, SHORT).predictions[0].time.isoformat()
    lineage = explain_prediction(tables, SHORT, time, None)
    assert lineage.prediction.fallback_level == "brand"
    assert (lineage.made_by.model.segment, lineage.made_by.model.level) == ("brand=amber", "brand")
    # Three stores of 60 weeks, the segment that ended, and the short one itself.
    assert [file.rows for file in lineage.inputs] == [3 * 60 + 30 + 6]


def test_predictions_of_other_releases_stand_beside_the_newest(trained, tables):
    run = trained.run()
    restore_release(run, 1)
    score_fleet(run)
    time = explain_segment(tables, AMBER).predictions[0].time.isoformat()
    lineage = explain_prediction(tables, AMBER, time, None)
    assert lineage.prediction.release == 2
    assert [other.release for other in lineage.others] == [1]
    assert (lineage.made_by.kind, lineage.made_by.source, lineage.made_by.since_release) == ("rollback", "release 1", 1)


def test_a_release_that_is_no_longer_kept_leaves_the_model_to_be_found_in_a_later_one(trained, tables):
    run = trained.run(fleet=shop(gates={"baseline_tolerance": 10.0, "keep_releases": 2}))
    for _ in range(3):
        restore_release(run, max(int(f.partition["release"]) for f in tables[CHAMPIONS].files()))
    time = explain_segment(tables, AMBER).predictions[0].time.isoformat()
    lineage = explain_prediction(tables, AMBER, time, None)
    assert (lineage.prediction.release, lineage.made_by.release) == (1, 3)


def test_a_prediction_that_is_not_there_is_an_error_with_those_that_are(tables):
    with pytest.raises(UnknownNameError, match=r"no prediction for time 1999-01-01; there are 4, of times 2025-02-24"):
        explain_prediction(tables, AMBER, "1999-01-01", None)
    with pytest.raises(UnknownNameError, match="has no prediction for row 7; there are 4, of times"):
        explain_prediction(tables, AMBER, None, 7)
    with pytest.raises(UnknownNameError, match="'tomorrow': not a time"):
        explain_prediction(tables, AMBER, "tomorrow", None)


@pytest.mark.parametrize("asked", [[AMBER], ["1/amber"], ["1", "amber"], ["1 amber"]])
def test_a_segment_is_found_by_its_key_or_its_values(tables, asked):
    assert resolve_segment(tables, asked, "shop") == AMBER


def test_a_segment_without_rows_is_found_among_the_predictions(tables):
    assert resolve_segment(tables, ["7", "citra"], "shop") == UNSEEN


def test_an_unknown_segment_is_an_error_with_the_closest_and_how_to_list_them(tables):
    with pytest.raises(UnknownNameError, match=r"shop: no segment '1/ambre'; closest: store=1/brand=amber") as error:
        resolve_segment(tables, ["1/ambre"], "fleets/shop.yaml")
    assert str(error.value).endswith("list them: myriad status fleets/shop.yaml --segments")
    with pytest.raises(UnknownNameError, match="has no segments yet: myriad run none"):
        resolve_segment(FleetTables(tables.lake, "none"), ["1"], "none")


def test_hostile_names_are_explained_each_as_itself(tmp_path, workers):
    weeks = pd.date_range("2024-01-01", periods=24, freq="7D").date
    frame = pd.DataFrame(
        [(week, name, 2, 10.0 * (place + 1)) for place, name in enumerate(HOSTILE) for week in weeks],
        columns=["week", "store", "brand", "units"],
    )
    (tmp_path / "sales").mkdir()
    frame.to_csv(tmp_path / "sales" / "a.csv", index=False)
    plain = {"features": {}, "score": None, "candidates": ["seasonal_naive"], "combine": False, "fallback": ["global"]}
    run = open_run(tmp_path, workers, fleet=shop(**plain))
    train_all(run, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers(run)
    score_fleet(run)
    tables = FleetTables(run.context.lake, "shop")
    for place, name in enumerate(HOSTILE):
        key = segment_key({"store": name, "brand": "2"})
        assert resolve_segment(tables, [key], "shop") == key
        assert resolve_segment(tables, [name, "2"], "shop") == key
        view = explain_segment(tables, key)
        assert view.values == {"store": name, "brand": "2"}
        assert (view.data.mean, view.champion.model.segment) == (10.0 * (place + 1), key)
        assert {row.prediction for row in view.predictions} == {10.0 * (place + 1)}
        lineage = explain_prediction(tables, key, view.predictions[0].time.isoformat(), None)
        assert (lineage.made_by.model.segment, [file.rows for file in lineage.inputs]) == (key, [24])
