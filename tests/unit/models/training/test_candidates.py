"""The registry of candidates: its entries hold what they promise, and one entry is all that a new candidate needs."""

import numpy as np
import pytest
from kit import names_of, outputs_of, series_of
from rides import PAIRS, rides, rides_fleet
from shop import future, open_run, sales, shop, train_all

from adapters.registry import Registry
from docs.generate import fleet_reference
from domain.capacity.estimate import estimate_run
from domain.config.candidates import CANDIDATES, CandidateSpec, FitCost, TypicalSegment, proposed
from domain.data.tables import CHALLENGERS, PREDICTIONS
from domain.errors import FleetError
from models.features.feature_spec import feature_spec_of
from models.smoothing.methods import smoothing_method
from models.training.candidates import candidates_of, row_candidates_of
from models.training.forecast import train_forecast
from tasks.ingest import ingest_files
from tasks.promote import promote_challengers
from tasks.score import score_fleet

DRIFT = CandidateSpec(
    "drift",
    "smoothing",
    complexity=1,
    cost={"forecast": FitCost(7.0)},
    summary="The line through the first and the last value.",
    make="toy_candidates.Drift",
    suits=lambda segment: segment.task == "forecast",
)
MIDRANGE = CandidateSpec(
    "midrange",
    "constant",
    complexity=0,
    cost={"forecast": FitCost(1.0), "regression": FitCost(2.0, row_us=3.0)},
    summary="The middle of the range.",
    make="toy_candidates.Midrange",
)


@pytest.mark.parametrize("name", list(CANDIDATES))
def test_the_code_of_an_entry_is_a_candidate_of_each_of_its_tasks(fleet, name):
    spec = CANDIDATES[name]
    assert spec.name == name
    if "forecast" in spec.tasks:
        (candidate,) = candidates_of(fleet.forecast(candidates=[name]))
        assert callable(candidate.fit)
        assert candidate.needs_rows == (spec.family != "smoothing")
    if "regression" in spec.tasks:
        (candidate,) = row_candidates_of(fleet.regression(candidates=[name]))
        assert callable(candidate.fit_rows)


def test_what_a_fleet_names_by_import_path_is_a_candidate_of_both_tasks(fleet):
    config = [{"name": "mine", "estimator": "sklearn.linear_model.Ridge"}]
    assert callable(candidates_of(fleet.forecast(candidates=config))[0].fit)
    assert callable(row_candidates_of(fleet.regression(candidates=config))[0].fit_rows)


def test_smoothing_methods_are_made_once():
    assert smoothing_method("theta") is smoothing_method("theta")


@pytest.mark.parametrize(
    ("segment", "names"),
    [
        (TypicalSegment("forecast", 30, 12), "seasonal_naive moving_average ses holt_damped theta"),
        (TypicalSegment("forecast", 36, 12), "seasonal_naive moving_average ses holt_damped theta ets"),
        (TypicalSegment("forecast", 40, 12), "seasonal_naive moving_average ses holt_damped theta ets ridge"),
        (TypicalSegment("forecast", 2_001, 12), "seasonal_naive moving_average ses holt_damped theta ridge"),
        (TypicalSegment("forecast", 39, 1), "seasonal_naive moving_average ses holt_damped theta"),
        (TypicalSegment("forecast", 20, 7, intermittent=True), "seasonal_naive moving_average ses croston adida"),
        (TypicalSegment("forecast", 21, 7, intermittent=True), "seasonal_naive moving_average ses croston adida ridge"),
        (TypicalSegment("regression", 5), "median ridge lightgbm"),
    ],
)
def test_a_wizard_proposes_what_suits_a_typical_segment_the_simplest_first(segment, names):
    assert proposed(segment) == names.split()


def test_one_entry_makes_a_smoothing_method_a_candidate_everywhere(monkeypatch, tmp_path, workers):
    with pytest.raises(FleetError, match="'drift' is not a candidate for task forecast"):
        shop(candidates=["drift"])
    monkeypatch.setitem(CANDIDATES, "drift", DRIFT)
    fleet = shop(candidates=["drift"])
    assert "| `drift` | yes | no | The line through the first and the last value. |" in fleet_reference()
    assert "drift" in proposed(TypicalSegment("forecast", 60, 4))
    cheap = estimate_run(shop(candidates=["ses"]), segments=100, levels=0, rows=6000, scored=400, workers=1)
    dear = estimate_run(fleet, segments=100, levels=0, rows=6000, scored=400, workers=1)
    assert dear.train_seconds - cheap.train_seconds == pytest.approx(100 * (7.0 - 0.25) / 1e3 * 4)
    for name, frame in (("sales", sales()), ("future", future())):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "a.csv", index=False)
    rows = _predictions(open_run(tmp_path, workers, fleet=fleet), tmp_path, "drift")
    units = sales().query("store == 1 and brand == 'amber'").units.to_numpy()
    slope = (units[-1] - units[0]) / (len(units) - 1)
    own = rows[rows.segment == "store=1/brand=amber"].sort_values("step")
    np.testing.assert_allclose(own.prediction, np.maximum(units[-1] + slope * np.arange(1, 5), 0.0), rtol=1e-5)


def test_one_entry_makes_any_class_a_candidate_of_both_tasks(monkeypatch, tmp_path, workers):
    monkeypatch.setitem(CANDIDATES, "midrange", MIDRANGE)
    for name, frame in (("history", rides(300, 1, PAIRS)), ("today", rides(30, 2, PAIRS))):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "a.csv", index=False)
    fleet = rides_fleet(candidates=["midrange"], gates={"baseline_tolerance": 10.0})
    rows = _predictions(open_run(tmp_path, workers, fleet=fleet), tmp_path, "midrange")
    minutes = rides(300, 1, PAIRS).query("city == 'ulm' and route == 'a'").minutes
    own = rows[rows.segment == "city=ulm/route=a"]
    np.testing.assert_allclose(own.prediction, (minutes.min() + minutes.max()) / 2, rtol=1e-5)


def test_the_same_class_forecasts(monkeypatch):
    monkeypatch.setitem(CANDIDATES, "midrange", MIDRANGE)
    fleet = shop(candidates=["midrange"], features={})
    (result,) = train_forecast(series_of(10.0 + np.arange(40.0) % 7, season=4), fleet, feature_spec_of(fleet, {}))
    rows = np.zeros((4, len(names_of(result.graph))))
    assert (result.candidate, result.parameters) == ("midrange", '{"midrange": {"middle": 13.0}}')
    np.testing.assert_allclose(outputs_of(result.graph, rows)[0][:, 0], 13.0, rtol=1e-6)


def _predictions(run, folder, candidate):
    """The predictions of a fleet's first release, whose models are all of the one candidate."""
    registry = Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    train_all(run, registry)
    challengers = run.table(CHALLENGERS).read(["candidate"]).to_pylist()
    assert {row["candidate"] for row in challengers} == {candidate}
    ingest_files(run, "requests", run.fleet.score.source)
    promote_challengers(run)
    score_fleet(run)
    return run.table(PREDICTIONS).read().to_pandas()
