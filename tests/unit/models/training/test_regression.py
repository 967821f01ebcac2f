"""Training of regression segments of any size."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import outputs_of

from domain.errors import FleetError
from models.features.feature_spec import feature_spec_of
from models.training.regression import Tabular, _folds, _half_widths, train_regression

LIGHTGBM = {"name": "lightgbm", "params": {"n_estimators": 8, "min_child_samples": 5}}
TIME = {"column": "day", "frequency": "D"}


def tabular(*parts):
    lengths = np.array([len(y) for _, y in parts], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    names = tuple(f"route={number}" for number in range(len(parts)))
    return Tabular(names, np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), starts, lengths)


def rows(n, k=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(10.0, 3.0, (n, k))
    return x, 5.0 + 2.0 * x[:, 0] + rng.normal(0.0, 0.5, n)


def trained(fleet, data, candidates, categories=None, **changes):
    features = {"known": [f"c{i}" for i in range(data.x.shape[1] - sum(map(len, (categories or {}).values())))]}
    features |= {"categorical": list(categories or {})}
    chosen = fleet.regression(**({"candidates": candidates, "features": features} | changes))
    return train_regression(data, chosen, feature_spec_of(chosen, categories or {}))


def test_segments_of_all_sizes_get_a_model(fleet):
    data = tabular(rows(300), rows(2), rows(5000), rows(7), rows(40), rows(1))
    results = trained(fleet, data, ["mean", "ridge", LIGHTGBM])
    assert [result.segment for result in results] == list(data.segments)
    assert [result.failed for result in results] == [False] * 5 + [True]
    assert results[5].reason.startswith("one row only")
    assert [set(json.loads(results[s].parameters)) for s in (1, 3)] == [{"mean"}, {"mean"}]
    for s in (0, 2):
        part = slice(int(data.starts[s]), int(data.starts[s] + data.lengths[s]))
        prediction = outputs_of(results[s].graph, data.x[part])[0][:, 0]
        assert np.abs(prediction - data.y[part]).mean() < 0.7


def test_a_segment_alone_gives_the_same_bytes_as_among_others(fleet):
    parts = [rows(300, seed=1), rows(60, seed=2), rows(2, seed=3)]
    candidates = ["median", "ridge", LIGHTGBM]
    together = trained(fleet, tabular(*parts), candidates)
    turned = trained(fleet, tabular(*parts[::-1]), candidates)[::-1]
    assert [_weights(a.graph) for a in together] == [_weights(b.graph) for b in turned]
    assert trained(fleet, tabular(parts[0]), candidates)[0].sha256 == together[0].sha256


def _weights(graph):
    import onnx

    return onnx.load_model_from_string(graph).graph.SerializeToString()


def test_missing_values_are_filled_with_the_means_that_scoring_is_given(fleet):
    x, y = rows(200, k=2)
    holes = x.copy()
    holes[::4, 0], holes[:, 1] = np.nan, np.nan
    (result,) = trained(fleet, tabular((holes, y)), ["ridge"])
    fill = json.loads(result.parameters)["ridge"]["fill"]
    assert fill == pytest.approx([np.nanmean(holes[:, 0]), 0.0])
    complete = np.where(np.isnan(holes), fill, holes)
    (expected,) = trained(fleet, tabular((complete, y)), ["ridge"])
    np.testing.assert_allclose(outputs_of(result.graph, complete), outputs_of(expected.graph, complete), rtol=1e-5)


def test_a_category_has_an_effect(fleet):
    rng = np.random.default_rng(0)
    wet = rng.random(300) < 0.5
    x = np.column_stack([rng.normal(size=300), wet, ~wet]).astype(float)
    y = 10.0 + 30.0 * wet + rng.normal(size=300)
    (result,) = trained(fleet, tabular((x, y)), ["ridge"], {"weather": ("wet", "dry")})
    wet_one, dry_one = outputs_of(result.graph, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])[0][:, 0]
    assert wet_one - dry_one == pytest.approx(30.0, abs=1.5)


@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("timed", [False, True])
def test_hostile_rows_get_a_finite_prediction_or_a_reason(fleet, transform, timed):
    x, y = rows(40)
    parts = {
        "constant target": (x, np.full(40, 3.0)),
        "zeros": (x, np.zeros(40)),
        "negative": (x, -y),
        "huge": (x, 1e30 * y),
        "beyond float32": (x, 1e300 * y),
        "constant feature": (np.ones((40, 1)), y),
        "missing feature": (np.full((40, 1), np.nan), y),
        "huge feature": (1e30 * x, y),
        **{f"{n} rows": (x[:n], y[:n]) for n in (1, 2, 3, 4)},
    }
    data = tabular(*parts.values())
    changes = {"target": {"column": "minutes", "transform": transform}} | ({"time": TIME} if timed else {})
    results = trained(fleet, data, ["mean", "ridge", LIGHTGBM], **changes)
    for name, result in zip(parts, results, strict=True):
        if result.failed:
            assert result.reason
            assert name in ("1 rows", "beyond float32"), (name, result.reason)
            continue
        prediction, lower, upper = outputs_of(result.graph, np.nan_to_num(parts[name][0]))
        assert np.isfinite(np.stack([prediction, lower, upper])).all(), name
        assert (lower <= prediction).all()
        assert (prediction <= upper).all()


@pytest.mark.parametrize("name", ["RaisesOnLarge", "NanOnLarge", "RaisesAtPrediction", "WrongShape", "Mean"])
def test_a_candidate_that_fails_leaves_the_others_untouched(fleet, name):
    x, y = rows(60)
    data = tabular((x, y), (x, 1000.0 * y))
    guest = {"name": "guest", "estimator": f"regressors.{name}"}
    plain = trained(fleet, data, ["mean", "ridge"], combine=False)
    found = trained(fleet, data, ["mean", "ridge", guest], combine=False)
    assert [(r.candidate, r.error) for r in found] == [(r.candidate, r.error) for r in plain]
    alone = trained(fleet, data, [guest])
    assert all(result.failed and result.reason for result in alone)


def test_an_estimator_that_cannot_be_made_stops_the_training_with_its_name(fleet):
    with pytest.raises(FleetError, match="candidates: 'guest': cannot import nowhere"):
        trained(fleet, tabular(rows(40)), [{"name": "guest", "estimator": "nowhere.Model"}])


def test_a_constant_candidate_predicts_what_its_name_says(fleet):
    x = np.zeros((9, 1))
    y = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    for name, value in (("mean", 3.0), ("median", 2.0)):
        for transform in ("none", "log1p"):
            target = {"column": "minutes", "transform": transform}
            (result,) = trained(fleet, tabular((x, y)), [name], target=target)
            assert outputs_of(result.graph, [[0.0]])[0].item() == pytest.approx(value, rel=1e-6)


def test_intervals_cover_about_what_they_promise(fleet):
    data = tabular(*(rows(120, seed=seed) for seed in range(30)))
    inside = []
    for seed, result in enumerate(trained(fleet, data, ["mean", "ridge"])):
        x, y = rows(400, seed=1000 + seed)
        _, lower, upper = outputs_of(result.graph, x)
        inside.append((lower[:, 0] <= y) & (y <= upper[:, 0]))
    assert 0.85 <= np.mean(inside) <= 0.95


def test_half_widths_leave_out_what_is_unknown():
    residuals = np.column_stack([np.arange(1.0, 20.0), np.full(19, np.nan), np.r_[[-7.0], np.full(18, np.nan)]])
    assert _half_widths(residuals, 0.9).tolist() == [18.0, 0.0, 7.0]


@given(st.integers(2, 80), st.integers(1, 20), st.booleans())
def test_folds_have_rows_on_both_sides_and_never_look_ahead(n, folds, ordered):
    found = _folds(n, folds, ordered)
    assert found
    assert len(found) <= max(2, folds)
    tested = np.concatenate([test for _, test in found])
    assert len(set(tested.tolist())) == len(tested)
    for train, test in found:
        assert len(train) >= 1
        assert len(test) >= 1
        assert not set(train.tolist()) & set(test.tolist())
        if ordered:
            assert train.max() < test.min()
    if not ordered:
        assert len(tested) == n


def test_error_is_that_of_rows_that_were_not_trained_on(fleet):
    """A forest of full trees knows its own rows by heart; its backtest must not."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 1)), rng.normal(100.0, 10.0, 100)
    forest = {"name": "tree", "estimator": "sklearn.tree.DecisionTreeRegressor"}
    (result,) = trained(fleet, tabular((x, y)), ["mean", forest], combine=False, backtest={"metric": "mae"})
    errors = {rank.candidate: rank.error for rank in result.ranks}
    assert errors["tree"] > errors["mean"] > 5.0
    assert result.candidate == "mean"
    assert math.isfinite(result.baseline_error)


def winner(fleet, data, candidates, tolerance):
    return trained(fleet, data, candidates, combine=False, backtest={"tolerance": tolerance})[0].candidate


def errors_of(fleet, data, candidates):
    return {rank.candidate: rank.error for rank in trained(fleet, data, candidates, combine=False)[0].ranks}


def test_a_constant_wins_over_a_ridge_that_is_hardly_better(fleet):
    rng = np.random.default_rng(6)
    x = rng.normal(10.0, 3.0, (300, 1))
    data = tabular((x, 50.0 + 0.4 * x[:, 0] + rng.normal(0.0, 2.0, 300)))
    for constant in ("mean", "median"):
        errors = errors_of(fleet, data, ["ridge", constant])
        assert errors["ridge"] < errors[constant] < 1.3 * errors["ridge"]
        assert winner(fleet, data, ["ridge", constant], 0.0) == "ridge"
        assert winner(fleet, data, ["ridge", constant], 0.3) == constant


def test_ridge_wins_over_trees_that_are_hardly_better(fleet):
    rng = np.random.default_rng(6)
    x = rng.normal(10.0, 3.0, (300, 1))
    data = tabular((x, 50.0 + 10.0 * (x[:, 0] > 10.0) + rng.normal(0.0, 2.0, 300)))
    candidates = [{"name": "lightgbm", "params": {"n_estimators": 60}}, "ridge"]
    errors = errors_of(fleet, data, candidates)
    assert errors["lightgbm"] < errors["ridge"] < 2.0 * errors["lightgbm"]
    assert winner(fleet, data, candidates, 0.0) == "lightgbm"
    assert winner(fleet, data, candidates, 1.0) == "ridge"
