"""A regression fleet: every row of every new input is predicted exactly once."""

import json

import numpy as np
import pandas as pd
import pytest
from shop import open_run, train_all

from adapters.registry import Registry
from models.fleet import parse_fleet
from models.tables import PREDICTIONS
from tasks.ingest import ingest_files
from tasks.promote import promote_challengers
from tasks.score import score_fleet


def rides_fleet(**changes):
    content = {
        "name": "rides",
        "task": "regression",
        "source": {"path": "history/*.csv"},
        "segment_by": ["city", "route"],
        "target": {"column": "minutes", "minimum": 0},
        "row_key": ["ride"],
        "features": {"known": ["distance"], "categorical": ["weather"]},
        "candidates": ["mean", "ridge"],
        "backtest": {"metric": "mae"},
        "partition": {"buckets": 2, "min_rows": 20},
        "fallback": [{"parent": "city"}, "global"],
        "score": {"source": {"path": "today/*.csv"}},
    }
    return parse_fleet(content | changes, "tests/rides.yaml")


def rides(count, seed, pairs):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "ride": [f"r{seed}-{number}" for number in range(count)],
            "city": [pairs[number % len(pairs)][0] for number in range(count)],
            "route": [pairs[number % len(pairs)][1] for number in range(count)],
            "distance": random.uniform(1, 20, count).round(2),
            "weather": random.choice(["dry", "rain"], count),
        }
    )
    frame["minutes"] = 5 + 3 * frame.distance + 10 * (frame.weather == "rain") + random.normal(0, 0.5, count)
    return frame


PAIRS = [("ulm", "a"), ("ulm", "b/c"), ("köln", "a")]


@pytest.fixture
def rides_run(tmp_path, workers):
    (tmp_path / "history").mkdir()
    (tmp_path / "today").mkdir()
    rides(300, 0, PAIRS).to_csv(tmp_path / "history" / "a.csv", index=False)
    run = open_run(tmp_path, workers, fleet=rides_fleet())
    train_all(run, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers.fn(run)
    return run


def land(run, name, frame):
    frame.drop(columns="minutes").to_csv(run.job.home / "today" / name, index=False)
    ingest_files.fn(run, "requests", run.fleet.score.source)


def predictions(run):
    frame = run.table(PREDICTIONS).read().to_pandas()
    frame["ride"] = [json.loads(text)["ride"] for text in frame.row_key]
    return frame


def test_every_row_of_an_input_is_predicted_once_and_only_new_inputs_are_scored(rides_run):
    today = rides(40, 1, PAIRS)
    land(rides_run, "one.csv", today)
    assert score_fleet.fn(rides_run).rows == 40
    found = predictions(rides_run).merge(today, on="ride")
    assert len(found) == 40
    assert np.abs(found.prediction - found.minutes).mean() < 1
    assert ((found.lower <= found.prediction) & (found.prediction <= found.upper)).all()
    assert (found.prediction >= 0).all()
    assert found["row"].tolist() != []
    assert not found.duplicated(["input_id", "row"]).any()

    version = rides_run.table(PREDICTIONS).version()
    again = score_fleet.fn(rides_run)
    assert (again.rows, again.repeated) == (40, True)
    assert rides_run.table(PREDICTIONS).version() == version

    land(rides_run, "two.csv", rides(10, 2, PAIRS))
    assert score_fleet.fn(rides_run).rows == 10
    assert len(predictions(rides_run)) == 50


def test_the_same_content_under_two_names_is_one_input(rides_run):
    today = rides(12, 1, PAIRS)
    land(rides_run, "one.csv", today)
    land(rides_run, "copy.csv", today)
    assert score_fleet.fn(rides_run).rows == 12
    assert not predictions(rides_run).duplicated(["input_id", "row"]).any()


def test_unseen_segments_take_the_parent_then_the_global_model(rides_run):
    land(rides_run, "one.csv", rides(9, 3, [("ulm", "new"), ("wien", "a"), ("ulm", "a")]))
    score_fleet.fn(rides_run)
    found = predictions(rides_run).groupby("segment").first()
    assert found.loc["city=ulm/route=new", "fallback_level"] == "city"
    assert found.loc["city=wien/route=a", "fallback_level"] == "global"
    assert found.loc["city=ulm/route=a", "fallback_level"] == ""
    assert found.prediction.notna().all()


def test_without_a_chain_an_unseen_segment_has_no_model_and_no_number(rides_run, workers):
    run = open_run(rides_run.job.home, workers, "run-2", rides_fleet(fallback=[]))
    land(run, "one.csv", rides(4, 3, [("wien", "a")]))
    summary = score_fleet.fn(run)
    assert summary.statuses == {"no_model": 4}
    assert predictions(run).prediction.isna().all()
    assert predictions(run).model_name.isna().all()


def test_missing_and_unknown_values_are_predicted_with_what_training_knew(rides_run):
    today = rides(6, 4, PAIRS)
    today.loc[0, "distance"] = np.nan
    today.loc[1, "weather"] = "snow"
    land(rides_run, "one.csv", today)
    score_fleet.fn(rides_run)
    found = predictions(rides_run)
    assert found.status.tolist() == ["ok"] * 6
    assert np.isfinite(found.prediction).all()


def test_an_input_without_a_valid_row_counts_as_scored(rides_run):
    (rides_run.job.home / "today" / "empty.csv").write_text("ride,city,route,distance,weather\n")
    ingest_files.fn(rides_run, "requests", rides_run.fleet.score.source)
    assert score_fleet.fn(rides_run).rows == 0
    version = rides_run.table(PREDICTIONS).version()
    assert score_fleet.fn(rides_run).rows == 0
    assert rides_run.table(PREDICTIONS).version() == version
