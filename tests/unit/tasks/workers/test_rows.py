"""A regression fleet: every row of every new input is predicted exactly once."""

import json

import numpy as np
from changed import change_champions
from rides import PAIRS, rides, rides_fleet
from shop import open_run

from domain.data.tables import PREDICTIONS
from models.inference.loaded_models import LoadedModels
from models.onnx_graphs.runtime import Predictions
from tasks.ingest import ingest_files
from tasks.score import score_fleet


def land(run, name, frame):
    frame.drop(columns="minutes").to_csv(run.context.home / "today" / name, index=False)
    ingest_files(run, "requests", run.fleet.score.source)


def predictions(run):
    frame = run.table(PREDICTIONS).read().to_pandas()
    frame["ride"] = [json.loads(text)["ride"] for text in frame.row_key]
    return frame


def test_every_row_of_an_input_is_predicted_once_and_only_new_inputs_are_scored(rides_run):
    today = rides(40, 1, PAIRS)
    land(rides_run, "one.csv", today)
    assert score_fleet(rides_run).rows == 40
    rows = predictions(rides_run).merge(today, on="ride")
    assert len(rows) == 40
    assert np.abs(rows.prediction - rows.minutes).mean() < 1
    assert ((rows.lower <= rows.prediction) & (rows.prediction <= rows.upper)).all()
    assert (rows.prediction >= 0).all()
    assert rows["row"].tolist() != []
    assert not rows.duplicated(["input_id", "row"]).any()

    version = rides_run.table(PREDICTIONS).version()
    again = score_fleet(rides_run)
    assert (again.rows, again.repeated) == (40, True)
    assert rides_run.table(PREDICTIONS).version() == version

    land(rides_run, "two.csv", rides(10, 2, PAIRS))
    assert score_fleet(rides_run).rows == 10
    assert len(predictions(rides_run)) == 50


def test_the_same_content_under_two_names_is_one_input(rides_run):
    today = rides(12, 1, PAIRS)
    land(rides_run, "one.csv", today)
    land(rides_run, "copy.csv", today)
    assert score_fleet(rides_run).rows == 12
    assert not predictions(rides_run).duplicated(["input_id", "row"]).any()


def test_unseen_segments_take_the_parent_then_the_global_model(rides_run):
    land(rides_run, "one.csv", rides(9, 3, [("ulm", "new"), ("wien", "a"), ("ulm", "a")]))
    score_fleet(rides_run)
    rows = predictions(rides_run).groupby("segment").first()
    assert rows.loc["city=ulm/route=new", "fallback_level"] == "city"
    assert rows.loc["city=wien/route=a", "fallback_level"] == "global"
    assert rows.loc["city=ulm/route=a", "fallback_level"] == ""
    assert rows.prediction.notna().all()


def test_without_a_chain_an_unseen_segment_has_no_model_and_no_number(rides_run, workers):
    run = open_run(rides_run.context.home, workers, "run-2", rides_fleet(fallback=[]))
    land(run, "one.csv", rides(4, 3, [("wien", "a")]))
    summary = score_fleet(run)
    assert summary.statuses == {"no_model": 4}
    assert predictions(run).prediction.isna().all()
    assert predictions(run).model_name.isna().all()


def test_missing_and_unknown_values_are_predicted_with_what_training_knew(rides_run):
    today = rides(6, 4, PAIRS)
    today.loc[0, "distance"] = np.nan
    today.loc[1, "weather"] = "snow"
    land(rides_run, "one.csv", today)
    score_fleet(rides_run)
    rows = predictions(rides_run)
    assert rows.status.tolist() == ["ok"] * 6
    assert np.isfinite(rows.prediction).all()


def test_an_input_without_a_valid_row_counts_as_scored(rides_run):
    (rides_run.context.home / "today" / "empty.csv").write_text("ride,city,route,distance,weather\n")
    ingest_files(rides_run, "requests", rides_run.fleet.score.source)
    assert score_fleet(rides_run).rows == 0
    version = rides_run.table(PREDICTIONS).version()
    assert score_fleet(rides_run).rows == 0
    assert rides_run.table(PREDICTIONS).version() == version


def test_broken_champions_unseen_segments_and_rows_without_an_answer_harm_no_others(rides_run, monkeypatch):
    plain = LoadedModels.run

    def infinite_afar(models, keys, features):
        results = plain(models, keys, features)
        for place, (outputs, rows) in enumerate(zip(results, features, strict=True)):
            if isinstance(outputs, Predictions):
                parts = (outputs.prediction, outputs.lower, outputs.upper)
                results[place] = Predictions(*(np.where((rows > 1e6).any(axis=1), np.inf, part) for part in parts))
        return results

    monkeypatch.setattr(LoadedModels, "run", infinite_afar)
    run = rides_run
    change_champions(run, ["city=ulm/route=a"], onnx=b"no graph")
    today = rides(8, 3, [("ulm", "a"), ("ulm", "b/c"), ("wien", "x")])
    today.loc[1, "distance"] = 1e9
    today.drop(columns="minutes").to_csv(run.context.home / "today" / "one.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    assert score_fleet(run).rows == 8
    rows = run.table(PREDICTIONS).read().to_pandas().set_index("row").sort_index()
    assert rows.loc[0].fallback_level == "city"
    assert rows.loc[0].reason.startswith("no model of its own (its own: the model cannot be run:")
    assert (rows.loc[1].status, rows.loc[4].status, rows.loc[4].fallback_level) == ("no_model", "ok", "")
    assert np.isnan(rows.loc[1].prediction)
    assert rows.loc[1].reason == "the model gives no finite number for this row"
    assert rows.loc[2].fallback_level == "global"
    assert "was not there to train on" in rows.loc[2].reason
