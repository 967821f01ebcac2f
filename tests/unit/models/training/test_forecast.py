"""Training of whole buckets: what a segment gets does not depend on its neighbours, and nothing ever raises."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import metadata_of, outputs_of, panel_of, series_of

from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.features.forecast_features import forecast_features
from models.onnx_graphs import runtime
from models.onnx_graphs.builder import GraphSpec, LinearMember, build_graph
from models.training import export
from models.training.backtest import Folds, evaluate_folds, segment_cutoffs
from models.training.forecast import train_forecast

MONTHLY = {"column": "day", "frequency": "M"}
LIGHTGBM = {"name": "lightgbm", "params": {"n_estimators": 8, "min_child_samples": 5}}
SMOOTHING = ["seasonal_naive", "moving_average", "ses", "holt_damped", "ets", "theta", "adida", "croston"]


def trained(fleet, series, spec=None):
    return train_forecast(series, fleet, spec or feature_spec_of(fleet, {}))


def monthly(fleet, candidates, **changes):
    features = {"known": []}
    return fleet.forecast(**({"candidates": candidates, "features": features, "time": MONTHLY, "horizon": 6} | changes))


def histories(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    season = 20.0 * np.sin(np.arange(200) * np.pi / 6)
    return [100.0 + season[:n] + rng.normal(0.0, 5.0, n) for n in lengths]


def own_rows(result, series, index):
    """The features that a result's graph reads at the end of its series, [H, k]."""
    spec = FeatureSpec.from_json(metadata_of(result.graph)["myriad.contract"])
    parameters = {name: [given] for name, given in json.loads(result.parameters).items()}
    one = series.take([index])
    last = np.repeat(one.covariates[:, -1:], spec.horizon, axis=1)
    return forecast_features(one.panel, np.concatenate([one.covariates, last], axis=1), spec, parameters)[0]


# --- folds


@pytest.mark.parametrize("spacing", ["auto", 1, 7, 1000])
@pytest.mark.parametrize("folds", [1, 3, 20])
@pytest.mark.parametrize("horizon", [1, 6, 18, 400])
def test_cutoffs_leave_something_to_train_on_and_to_judge_by(horizon, folds, spacing):
    assert segment_cutoffs(1, horizon, folds, spacing) == ()
    for length in range(2, 201):
        cutoffs = segment_cutoffs(length, horizon, folds, spacing)
        assert 1 <= len(cutoffs) <= folds
        assert list(cutoffs) == sorted(set(cutoffs))
        assert cutoffs[0] >= 1
        left = length - cutoffs[-1]
        assert left >= max(1, min(2, length - 1), length // 3)


def test_folds_of_a_long_segment_are_those_that_were_asked_for():
    assert segment_cutoffs(100, 18, 3, "auto") == (6, 12, 18)
    assert segment_cutoffs(100, 18, 3, 4) == (4, 8, 12)
    assert segment_cutoffs(6, 18, 3, "auto") == (1, 2, 4)


# --- a segment and its neighbours


@pytest.mark.parametrize("candidates", [[*SMOOTHING, "ridge"], ["ets", "ridge", LIGHTGBM]], ids=["batched", "trees"])
def test_a_segment_alone_gives_the_same_bytes_as_within_a_batch_in_any_order(fleet, candidates):
    chosen = monthly(fleet, candidates, target={"column": "units", "transform": "log1p", "minimum": 0})
    values = histories(60, 75, 133, 30, 17, 5)
    series = series_of(*values, season=12, ends=600)
    batch = trained(chosen, series)
    assert [result.failed for result in batch] == [False] * 5 + ["ses" not in candidates]
    turned = trained(chosen, series.take(range(5, -1, -1)))
    for index, result in enumerate(batch):
        alone = series_of(values[index], season=12, ends=600, names=[f"s={index}"])
        assert trained(chosen, alone)[0].sha256 == result.sha256
        assert turned[5 - index].sha256 == result.sha256


def test_frozen_parameters_have_nine_digits(fleet):
    """What lies beyond them depends on the batch that a segment was trained in."""
    (result,) = trained(monthly(fleet, ["ets", "theta"]), series_of(*histories(80), season=12))
    values = [value for given in json.loads(result.parameters).values() for value in given.values()]
    numbers = np.hstack(values).tolist()
    assert len(numbers) > 20
    assert all(float(f"{number:.9g}") == number for number in numbers)


def test_results_come_in_the_order_of_the_segments(fleet):
    series = series_of(*histories(60, 5, 90, 5), season=12)
    assert [result.segment for result in trained(monthly(fleet, ["ses"]), series)] == list(series.segments)


# --- hostile segments

HOSTILE = {
    "constant": np.full(40, 42.0),
    "zeros": np.zeros(40),
    "one row": np.array([5.0]),
    "two rows": np.array([5.0, 7.0]),
    "three rows": np.array([5.0, 7.0, 0.0]),
    "four rows": np.array([5.0, 7.0, 0.0, 1.0]),
    "huge": 1e30 * np.arange(1.0, 41.0),
    "beyond float32": 1e300 * np.arange(1.0, 41.0),
    "tiny": 1e-30 * np.arange(1.0, 41.0),
    "negative": -100.0 - np.arange(40.0) % 5,
    "alternating": np.tile([1e12, -1e12], 20),
    "one spike": np.where(np.arange(40) == 20, 1e15, 1.0),
    "intermittent": np.where(np.arange(40) % 9 == 0, 3.0, 0.0),
    "normal": 100.0 + np.random.default_rng(0).normal(0.0, 5.0, 40),
}


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("metric", ["wape", "smape", "mae", "rmse", "mase"])
def test_hostile_segments_get_a_finite_forecast_or_a_reason(fleet, transform, metric):
    candidates = [*SMOOTHING, "ridge", *([LIGHTGBM] if metric == "wape" else [])]
    target = {"column": "units", "transform": transform}
    chosen = monthly(fleet, candidates, target=target, backtest={"metric": metric})
    series = series_of(*HOSTILE.values(), season=12, names=list(HOSTILE))
    results = dict(zip(HOSTILE, trained(chosen, series), strict=True))
    for index, (name, result) in enumerate(results.items()):
        if result.failed:
            assert result.reason, name
            assert name in ("one row", "beyond float32"), (name, result.reason)
            continue
        outputs = np.stack(outputs_of(result.graph, own_rows(result, series, index)))
        assert np.isfinite(outputs).all(), name
        assert (outputs[1] <= outputs[0]).all(), name
        assert (outputs[0] <= outputs[2]).all(), name
        assert np.isfinite(result.error), name
        assert result.reason == ""
    assert results["one row"].reason.startswith("one period only")


@pytest.mark.parametrize("missing", ["some", "all", "trailing"])
def test_covariates_with_nan_do_not_stop_anything(fleet, missing):
    rng = np.random.default_rng(0)
    covariates = rng.normal(size=(2, 60, 1))
    if missing == "all":
        covariates[:] = np.nan
    covariates[0, 30 : 40 if missing == "some" else 60] = np.nan
    chosen = fleet.forecast(candidates=["ses", "ridge", LIGHTGBM])
    series = series_of(*histories(60, 60), season=7, covariates=covariates)
    for index, result in enumerate(trained(chosen, series)):
        assert not result.failed
        assert np.isfinite(np.stack(outputs_of(result.graph, np.nan_to_num(own_rows(result, series, index))))).all()


@settings(max_examples=15)
@given(
    st.lists(
        st.lists(st.one_of(st.just(0), st.integers(-1000, 1_000_000)), min_size=1, max_size=30), min_size=1, max_size=4
    )
)
def test_every_segment_has_a_model_or_a_reason(fleet, values):
    series = series_of(*values, season=4)
    chosen = monthly(fleet, ["seasonal_naive", "theta", "ridge"], time={"column": "d", "frequency": "Q"}, horizon=3)
    results = trained(chosen, series)
    assert [result.segment for result in results] == list(series.segments)
    for one, result in zip(values, results, strict=True):
        assert bool(result.reason) == result.failed == (len(one) == 1)


# --- candidates that fail


def mannered(name):
    return {"name": "guest", "estimator": f"regressors.{name}"}


@pytest.mark.parametrize("name", ["RaisesOnLarge", "NanOnLarge", "RaisesAtPrediction", "WrongShape", "Mean"])
def test_a_candidate_that_fails_leaves_the_others_and_the_neighbours_untouched(fleet, name):
    values = histories(60, 60)
    series = series_of(values[0], 100.0 * values[1], season=12)
    plain = trained(monthly(fleet, ["ses", "holt_damped"], combine=False), series)
    found = trained(monthly(fleet, ["ses", "holt_damped", mannered(name)], combine=False), series)
    for before, after in zip(plain, found, strict=True):
        assert after.candidate == before.candidate
        assert after.error == before.error
        assert after.parameters == before.parameters
    refused = {rank.candidate: rank.error for rank in found[1].ranks}
    assert np.isnan(refused["guest"]) == (name != "Mean")


def test_a_segment_whose_every_candidate_fails_has_a_reason(fleet):
    (result,) = trained(monthly(fleet, [mannered("RaisesAtPrediction")]), series_of(*histories(60), season=12))
    assert result.failed
    assert result.reason == "no candidate gave a finite forecast (guest: not today)"
    assert (result.candidate, result.graph, result.parameters) == ("", b"", "{}")


def test_a_candidate_without_onnx_form_is_passed_over_for_the_next(fleet):
    flat = series_of(np.tile([0.0, 100.0, 20.0, 0.0, 70.0], 12), season=12)
    chosen = monthly(fleet, ["seasonal_naive", mannered("Mean")], backtest={"tolerance": 0})
    (result,) = trained(chosen, flat)
    assert result.candidate == "seasonal_naive"
    errors = {rank.candidate: rank.error for rank in result.ranks}
    assert errors["guest"] < errors["seasonal_naive"]
    (alone,) = trained(monthly(fleet, [mannered("Mean")]), flat)
    assert alone.failed
    assert alone.reason.startswith("guest cannot be exported: Mean has no ONNX form")


def test_a_graph_off_by_too_much_is_passed_over_and_the_last_reason_is_recorded(fleet, monkeypatch):
    series = series_of(*histories(80), season=12)
    chosen = monthly(fleet, ["seasonal_naive", "ses", "ridge"])
    winner = trained(chosen, series)[0].candidate

    def skewed(only):
        def build(model):
            names = {member.name for member in model.members}
            if only is None or only in names or (only == "combination" and len(names) > 1):
                extra = LinearMember("off", np.zeros(model.contract.design.width), 50.0, 50.0, 50.0)
                weights = np.append(model.weights, 1.0)
                model = GraphSpec(model.contract, (*model.members, extra), weights, model.half_width, model.notes)
            return build_graph(model)

        return build

    monkeypatch.setattr(export, "build_graph", skewed(winner))
    (result,) = trained(chosen, series)
    assert not result.failed
    assert result.candidate != winner
    assert [rank.candidate for rank in result.ranks if rank.selected] == [result.candidate]
    monkeypatch.setattr(export, "build_graph", skewed(None))
    (result,) = trained(chosen, series)
    assert result.failed
    assert "is off by" in result.reason
    assert not any(rank.selected for rank in result.ranks)


def test_a_batched_graph_that_gives_something_else_is_not_used(fleet, monkeypatch):
    """The result of the graph alone decides; then all graphs run alone."""
    plain, calls = runtime.run_each, []

    def spoiled(graphs, features, spec):
        calls.append(len(graphs))
        found = plain(graphs, features, spec)
        if len(graphs) > 1:
            found[1] = replace(found[1], prediction=found[1].prediction * 2)
            found[0] = replace(found[0], prediction=found[0].prediction + 1)
        return found

    chosen, series = monthly(fleet, ["ses"]), series_of(*histories(80, 90, 70), season=12)
    expected = trained(chosen, series)
    monkeypatch.setattr(runtime, "run_each", spoiled)
    found = trained(chosen, series)
    assert [one.sha256 for one in found] == [one.sha256 for one in expected]
    assert not any(one.failed for one in found)
    assert calls == [3, 1, 1, 1, 1]


def test_a_graph_that_cannot_be_run_leaves_the_latency_of_others_known(fleet, monkeypatch):
    plain = export.build_graph
    first = iter([True])
    monkeypatch.setattr(export, "build_graph", lambda model: b"none" if next(first, False) else plain(model))
    found = trained(monthly(fleet, ["ses", "ridge"]), series_of(*histories(80, 90, 70), season=12))
    assert not any(one.failed for one in found)
    assert np.isfinite([one.latency_ms for one in found]).all()


# --- choice and intervals


def test_a_naive_forecast_that_beats_the_ensemble_beyond_the_gate_replaces_it(fleet):
    season = np.tile(np.array([10.0, 200.0, 30.0, 400.0, 50.0, 600.0, 7.0, 80.0, 9.0, 100.0, 11.0, 120.0]), 8)
    noisy = season + np.random.default_rng(0).normal(0.0, 1.0, 96)
    candidates = ["seasonal_naive", {"name": "linear", "estimator": "sklearn.linear_model.LinearRegression"}]
    always = {"combination_margin": 0.99}
    errors = []
    for tolerance, expected in ((0.0, "seasonal_naive"), (1e6, "combination")):
        chosen = monthly(fleet, candidates, backtest=always, gates={"baseline_tolerance": tolerance}, features={})
        (result,) = trained(chosen, series_of(noisy, season=12))
        errors.append({rank.candidate: rank.error for rank in result.ranks})
        assert result.candidate == expected
    assert errors[0]["combination"] > errors[0]["seasonal_naive"]


def test_without_combination_a_single_candidate_wins(fleet):
    (result,) = trained(monthly(fleet, ["seasonal_naive", "ses"], combine=False), series_of(*histories(80), season=12))
    assert result.candidate in ("seasonal_naive", "ses")
    assert [rank.candidate for rank in result.ranks] == ["seasonal_naive", "ses"]


def test_the_ensemble_combines_forecasts_before_the_minimum_applies_as_the_graph_does(fleet):
    """One member far below the minimum must count as far below in the backtest, too."""
    folds = Folds(
        actual=np.array([[[10.0], [10.0]]]),
        predictions=np.array([[[[-20.0, 20.0]], [[-20.0, 20.0]]]]),
        baseline=np.array([[[10.0], [10.0]]]),
        size=np.ones(1),
        scale=np.ones(1),
    )
    chosen = fleet.forecast(
        candidates=["seasonal_naive", "ses"], target={"column": "units", "minimum": 0}, backtest={"metric": "mae"}
    )
    tested, residuals = evaluate_folds(folds, chosen)
    assert tested.errors.tolist() == [[[10.0, 10.0], [10.0, 10.0]]]
    assert tested.ensemble_errors.tolist() == [[10.0, 10.0]]
    assert residuals[0, 0, 0].tolist() == [10.0, -10.0, 10.0]


@pytest.mark.parametrize(("level", "low", "high"), [(0.8, 0.72, 0.85), (0.9, 0.85, 0.95)])
def test_intervals_of_random_walks_cover_about_what_they_promise(fleet, level, low, high):
    values = 100.0 + np.random.default_rng(8).normal(0.0, 10.0, (120, 78)).cumsum(axis=1)
    series = series_of(*values[:, :60], season=12)
    chosen = monthly(fleet, ["seasonal_naive", "ses"], interval={"level": level}, horizon=18)
    inside = []
    for index, result in enumerate(trained(chosen, series)):
        _, lower, upper = outputs_of(result.graph, own_rows(result, series, index))
        inside.append((lower[:, 0] <= values[index, 60:]) & (values[index, 60:] <= upper[:, 0]))
    assert low <= np.mean(inside) <= high


@pytest.mark.parametrize("name", [*(n for n in SMOOTHING if n != "croston"), "ridge"])
def test_a_forecast_follows_new_observations_without_retraining(fleet, name):
    values = histories(72)[0]
    chosen = monthly(fleet, [name], horizon=12)
    (result,) = trained(chosen, series_of(values, season=12, ends=600))
    longer = series_of(np.append(values, [5000.0, 5000.0, 5000.0]), season=12, ends=603)
    before = outputs_of(result.graph, own_rows(result, series_of(values, season=12, ends=600), 0))[0]
    after = outputs_of(result.graph, own_rows(result, longer, 0))[0]
    assert after.max() > before.max() + 10.0


def test_features_of_segments_without_parameters_are_zeros_where_states_would_be():
    spec = FeatureSpec("forecast", season=4, horizon=2, windows=(2,), states=("ses", "theta"))
    panel = panel_of([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], season=4)
    given_one = {"ses": [{}, {"alpha": 0.5, "beta": 0.0, "damping": 0.0, "factors": [1.0] * 4}]}
    found = forecast_features(panel, np.zeros((2, 5, 0)), spec, given_one)
    assert found.shape == (2, 2, 10)
    assert not found[0, :, 2:].any()
    assert found[1, :, 2:6].any()
    assert not found[1, :, 6:].any()
