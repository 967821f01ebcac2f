"""Blank cells and unknown categories of covariates, from files to predictions and their reasons."""

import numpy as np
import pandas as pd
import pytest
from shop import open_run, train_all

from adapters.registry import Registry
from adapters.sources.sampling import check_fleet
from domain.config.fleet import parse_fleet
from domain.data.tables import PREDICTIONS, QUARANTINE
from tasks.ingest import ingest_files
from tasks.promote import promote_challengers
from tasks.score import score_fleet

WEEKS, HORIZON = 104, 4
BLANK = "blank discount counts as 0"


def history():
    """Sales of 100, or 200 in the few weeks with a discount, which is blank in the others."""
    discounts = np.where(np.arange(WEEKS) % 7 == 3, 20.0, np.nan)
    noise = np.random.default_rng(0).normal(0, 1, WEEKS)
    weeks = pd.date_range("2022-01-03", periods=WEEKS, freq="7D")
    sales = (100 + 5 * np.nan_to_num(discounts) + noise).round(2)
    frame = pd.DataFrame({"week": weeks, "discount": discounts, "weather": "sun", "sales": sales})
    frame.loc[::2, "weather"] = "rain"
    return pd.concat([frame.assign(store=store) for store in ("a", "b")])


def future(discounts=(None, None, 20, None), weather="sun"):
    weeks = pd.date_range("2022-01-03", periods=WEEKS + HORIZON, freq="7D")[WEEKS:]
    frame = pd.DataFrame({"week": weeks, "discount": discounts, "weather": weather})
    return pd.concat([frame.assign(store=store) for store in ("a", "b")])


def fleet(**features):
    content = {
        "name": "disc",
        "task": "forecast",
        "source": {"path": "sales.csv"},
        "segment_by": ["store"],
        "time": {"column": "week", "frequency": "W", "season": 1},
        "target": {"column": "sales", "minimum": 0},
        "features": {"known": ["discount"]} | features,
        "horizon": HORIZON,
        "candidates": ["ridge"],
        "combine": False,
        "gates": {"baseline_tolerance": 10.0},
        "score": {"source": {"path": "future.csv"}},
    }
    return parse_fleet(content, "disc.yaml")


def predictions(folder, workers, chosen, rows=None, ahead=None):
    (history() if rows is None else rows).to_csv(folder / "sales.csv", index=False)
    (future() if ahead is None else ahead).to_csv(folder / "future.csv", index=False)
    run = open_run(folder, workers, fleet=chosen)
    train_all(run, Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts")))
    ingest_files(run, "requests", run.fleet.score.source)
    promote_challengers(run)
    score_fleet(run)
    rows = run.table(PREDICTIONS).read().to_pandas().sort_values(["segment", "step"])
    return run, rows.assign(reason=rows.reason.astype(object).where(rows.reason.notna(), None))


@pytest.mark.parametrize("features", [{}, {"missing": {"discount": "zero"}}])
def test_a_blank_discount_is_none_and_its_reason_says_so(tmp_path, workers, features):
    _, rows = predictions(tmp_path, workers, fleet(**features))
    np.testing.assert_allclose(rows.prediction, [100, 100, 200, 100] * 2, rtol=0.05)
    assert rows.reason.tolist() == [BLANK, BLANK, None, BLANK] * 2
    # The same as if the zeros were written.
    (tmp_path / "zeros").mkdir()
    explicit = fleet(missing={"discount": "zero"})
    _, zeros = predictions(tmp_path / "zeros", workers, explicit, history().fillna(0), future().fillna(0))
    assert zeros.prediction.tolist() == rows.prediction.tolist()
    assert zeros.reason.isna().all()


def test_promotions_in_the_newest_weeks_do_not_raise_the_weeks_to_come(tmp_path, workers):
    weeks = history()
    weeks["discount"] = np.tile(np.where(np.random.default_rng(2).random(WEEKS) < 0.2, 20.0, np.nan), 2)
    weeks.loc[weeks.index.isin([WEEKS - 5, WEEKS - 3, WEEKS - 1]), "discount"] = 20.0
    noise = np.random.default_rng(0).normal(0, 1, 2 * WEEKS)
    weeks["sales"] = (100 + 5 * weeks.discount.fillna(0) + noise).round(2)
    _, rows = predictions(tmp_path, workers, fleet(), weeks)
    np.testing.assert_allclose(rows.prediction, [100, 100, 200, 100] * 2, rtol=0.05)


def test_the_last_value_counts_where_the_fleet_says_so(tmp_path, workers):
    _, rows = predictions(tmp_path, workers, fleet(missing={"discount": "last"}))
    assert set(rows.reason) == {"covariates carried forward from the last known period", None}


def test_rejected_blanks_give_no_rows_and_no_numbers(tmp_path, workers):
    run, rows = predictions(tmp_path, workers, fleet(missing={"discount": "reject"}), history().ffill().bfill())
    assert rows.status.tolist() == ["missing_covariates", "missing_covariates", "ok", "missing_covariates"] * 2
    assert rows.prediction.isna().tolist() == [True, True, False, True] * 2
    assert set(rows.reason) == {"covariates are not known", None}
    history().to_csv(tmp_path / "sales.csv", index=False)
    receipt = ingest_files(run, "observations", run.fleet.source)
    assert receipt.reasons == {"null_feature": history().discount.isna().sum()}
    (detail,) = set(run.table(QUARANTINE).read()["detail"].to_pylist())
    assert detail == "discount has no value"


def test_a_category_that_training_never_had_is_named_in_the_reason(tmp_path, workers):
    weather = ["sun", "snow", "rain", None]
    ahead = future((0, 0, 0, 0)).assign(weather=weather * 2)
    _, rows = predictions(tmp_path, workers, fleet(categorical=["weather"]), ahead=ahead)
    assert rows.reason.tolist() == [None, "weather 'snow' was not in training", None, None] * 2


def test_nothing_is_said_of_categories_beyond_the_most_frequent(tmp_path, workers):
    ahead = future((0, 0, 0, 0), weather="snow")
    _, rows = predictions(tmp_path, workers, fleet(categorical=["weather"], max_levels=2), ahead=ahead)
    assert rows.reason.isna().all()


def test_check_says_how_blank_cells_are_read(tmp_path):
    history().to_csv(tmp_path / "sales.csv", index=False)
    future().to_csv(tmp_path / "future.csv", index=False)
    (problem,) = (p for p in check_fleet(fleet(), tmp_path, 2).problems if p.key == "features.known")
    assert "85.6 % of its cells are blank, which is read as 0" in problem.message
    assert all(
        p.key != "features.known" for p in check_fleet(fleet(missing={"discount": "zero"}), tmp_path, 2).problems
    )
    few = history()
    few.loc[few.index[::10], "discount"] = None
    few.fillna({"discount": 5}).assign(discount=lambda f: f.discount.where(f.index % 9 > 0)).to_csv(
        tmp_path / "sales.csv", index=False
    )
    (problem,) = (p for p in check_fleet(fleet(), tmp_path, 2).problems if "blank" in p.message)
    assert "which is read as the last known value" in problem.message
