"""Every family of model as a graph: the same numbers as the native prediction, and the same face."""

import json

import lightgbm
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import metadata_of, names_of, outputs_of, series_of
from skl2onnx import to_onnx
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from domain.errors import ExportError, InferenceError
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.features.forecast_features import forecast_features
from models.features.training_rows import Cutoff, build_rows
from models.onnx_graphs.builder import GraphSpec, LinearMember, SmoothingMember, TreesMember, build_graph
from models.onnx_graphs.runtime import run_graph
from models.regressors.estimators import tree_member
from models.regressors.ridge import solve_ridge, sufficient_statistics
from models.regressors.tree_arrays import tree_arrays
from models.training.candidates import candidates_of

SMOOTHING = ["seasonal_naive", "moving_average", "ses", "holt_damped", "ets", "theta", "adida", "croston"]
QUICK = {"n_estimators": 12, "min_child_samples": 5}
ESTIMATORS = [
    {"name": "lightgbm", "params": QUICK},
    {"name": "boosting", "estimator": "sklearn.ensemble.GradientBoostingRegressor", "params": {"n_estimators": 8}},
    {"name": "forest", "estimator": "sklearn.ensemble.RandomForestRegressor", "params": {"n_estimators": 6}},
]
HORIZON = 4


def history(scale, gaps=False):
    rng = np.random.default_rng(3)
    season = 1.0 + 0.3 * np.sin(np.arange(72) * np.pi / 6)
    values = scale * season * rng.lognormal(0.0, 0.1, 72)
    return np.where(rng.random(72) < 0.6, 0.0, values) if gaps else values


def graph_and_native(fleet, names, scale=100.0, transform="none", minimum=None, horizon=HORIZON):
    """A graph that combines the candidates, its features, and the native prediction of the combination."""
    chosen = fleet.forecast(
        candidates=names,
        features={},
        horizon=horizon,
        time={"column": "day", "frequency": "M"},
        target={"column": "units", "transform": transform} | ({} if minimum is None else {"minimum": minimum}),
    )
    contract = feature_spec_of(chosen, {})
    series = series_of(history(scale, "croston" in names), season=12)
    window = Cutoff(series, contract, build_rows(series, contract, [0]), 0, horizon)
    found = candidates_of(chosen)
    fitted = [candidate.fit([window])[0] for candidate in found]
    configs = zip(chosen.candidates, fitted, strict=True)
    parameters = {config.name: [fit.parameters(0)] for config, fit in configs if config.name in SMOOTHING}
    covariates = np.zeros((1, 72 + horizon, 0))
    features = forecast_features(series.panel, covariates, contract, parameters)[0]
    weights = np.arange(1.0, len(found) + 1)
    weights /= weights.sum()
    half = scale * np.sqrt(np.arange(1, horizon + 1))
    graph = build_graph(
        GraphSpec(contract, tuple(f.member(0) for f in fitted), weights, half, {"myriad.fleet": "shop"})
    )
    native = np.stack([f.forecast[0] for f in fitted], axis=-1) @ weights
    assert np.isfinite(native).all()
    return graph, features, native, half


@pytest.mark.parametrize("name", [*SMOOTHING, "ridge"])
@settings(max_examples=6)
@given(exponent=st.floats(-3.0, 7.0))
def test_graph_of_a_batched_candidate_equals_its_forecast(fleet, name, exponent):
    scale = 10.0**exponent
    graph, features, native, _ = graph_and_native(fleet, [name], scale)
    assert np.abs(outputs_of(graph, features)[0][:, 0] - native).max() < 1e-4 * scale


@pytest.mark.parametrize("candidate", ["ridge", *ESTIMATORS], ids=lambda c: c if isinstance(c, str) else c["name"])
@pytest.mark.parametrize("transform", ["none", "log1p"])
@pytest.mark.parametrize("scale", [1e-3, 37.0, 1e7])
def test_graph_of_a_trained_candidate_equals_its_forecast(fleet, candidate, transform, scale):
    graph, features, native, _ = graph_and_native(fleet, [candidate], scale, transform)
    assert np.abs(outputs_of(graph, features)[0][:, 0] - native).max() < 1e-4 * scale


@pytest.mark.parametrize("scale", [1e-3, 1e7])
def test_graph_of_all_candidates_together_equals_their_weighted_forecasts(fleet, scale):
    names = [*(name for name in SMOOTHING if name != "croston"), "ridge", *ESTIMATORS]
    graph, features, native, _ = graph_and_native(fleet, names, scale, "log1p", 0)
    assert np.abs(outputs_of(graph, features)[0][:, 0] - native).max() < 1e-4 * scale
    onnx.checker.check_model(onnx.load_model_from_string(graph), full_check=True)


def test_face_is_one_input_and_three_outputs(fleet):
    graph, features, _, _ = graph_and_native(fleet, ["ses", "ridge", ESTIMATORS[0]])
    proto = onnx.load_model_from_string(graph)
    onnx.checker.check_model(proto, full_check=True)
    (given_input,) = proto.graph.input
    assert given_input.name == "features"
    assert given_input.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [dim.dim_value or dim.dim_param for dim in given_input.type.tensor_type.shape.dim] == ["n", len(features[0])]
    assert [output.name for output in proto.graph.output] == ["prediction", "lower", "upper"]
    for rows in (features, features[:1], np.repeat(features, 5, axis=0)):
        for values in outputs_of(graph, rows):
            assert values.dtype == np.float32
            assert values.shape == (len(rows), 1)
    assert len(names_of(graph)) == len(features[0])
    assert names_of(graph)[0] == "step"
    assert metadata_of(graph)["myriad.fleet"] == "shop"


@given(st.floats(-50.0, 150.0), st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=5))
def test_minimum_holds_for_all_outputs_and_they_are_in_order(minimum, levels):
    contract = FeatureSpec("forecast", horizon=3, windows=(1,), states=("ses",), minimum=minimum)
    graph = build_graph(
        GraphSpec(contract, (SmoothingMember("ses", np.ones(3)),), np.ones(1), np.array([0.0, 10.0, 60.0]))
    )
    rows = [[step, 0.0, level, 0.0, 1.0, 0.0] for level in levels for step in (1, 2, 3)]
    prediction, lower, upper = outputs_of(graph, rows)
    assert (lower <= prediction).all()
    assert (prediction <= upper).all()
    assert (lower >= np.float32(minimum)).all()


def test_interval_has_the_half_width_of_its_step_and_later_steps_that_of_the_last(fleet):
    graph, features, _, half = graph_and_native(fleet, ["holt_damped"])
    later = np.repeat(features[-1:], 3, axis=0)
    later[:, 0] = [HORIZON, HORIZON + 1, HORIZON + 50]
    for rows, widths in ((features, half), (later, half[[-1] * 3])):
        prediction, lower, upper = outputs_of(graph, rows)
        np.testing.assert_allclose((upper - prediction)[:, 0], widths, rtol=1e-5)
        np.testing.assert_allclose((prediction - lower)[:, 0], widths, rtol=1e-5)
    assert np.unique(outputs_of(graph, later)[0]).size == 1


# --- LightGBM


def tabular(n=400, k=4, missing=False):
    rng = np.random.default_rng(5)
    x = rng.normal(0.0, 10.0, (n, k)).astype(np.float32)
    y = 3.0 * x[:, 0] + np.where(x[:, 1] > 2.0, 40.0, 0.0) + rng.normal(size=n)
    if missing:
        x[rng.random((n, k)) < 0.2] = np.nan
    return x, y


def regression_graph(member, k=4, transform="none"):
    contract = FeatureSpec("regression", numeric=tuple(f"c{i}" for i in range(k)), transform=transform)
    return build_graph(GraphSpec(contract, (member,), np.ones(1), np.ones(1)))


def thresholds_of(model):
    arrays = tree_arrays(model.booster_)
    split = np.array(arrays.mode) == "BRANCH_LEQ"
    return np.array(arrays.feature)[split], arrays.threshold[split]


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
def test_lightgbm_graph_equals_the_booster_at_its_thresholds_and_with_nan(missing):
    x, y = tabular(missing=missing)
    model = lightgbm.LGBMRegressor(**QUICK, verbosity=-1, n_jobs=1).fit(x, y)
    features, values = thresholds_of(model)
    at = np.zeros((3 * len(values), 4), dtype=np.float32)
    near = [values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, np.float32(-np.inf))]
    at[np.arange(len(at)), np.tile(features, 3)] = np.concatenate(near)
    holes = x.copy()
    holes[::2, 0], holes[::3, 1] = np.nan, np.nan
    graph = regression_graph(tree_member("lightgbm", model, 4))
    for rows in (x, at, holes, np.full((1, 4), np.nan, np.float32)):
        native = model.booster_.predict(rows)
        np.testing.assert_allclose(outputs_of(graph, rows)[0][:, 0], native, atol=1e-4 * np.abs(y).mean())


def test_lightgbm_graph_equals_that_of_onnxmltools():
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    x, y = tabular()
    model = lightgbm.LGBMRegressor(**QUICK, verbosity=-1, n_jobs=1).fit(x, y)
    converted = convert_lightgbm(
        model.booster_, initial_types=[("x", FloatTensorType([None, 4]))], target_opset=15, zipmap=False
    )
    session = ort.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"x": x})[0].ravel()
    ours = outputs_of(regression_graph(tree_member("lightgbm", model, 4)), x)[0][:, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(y).mean())


@pytest.mark.parametrize("constant", [False, True])
def test_a_tree_of_a_single_leaf_is_a_constant(constant):
    x, y = tabular(n=30)
    y = np.full(30, 7.0) if constant else y
    model = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=100, verbosity=-1).fit(x, y)
    assert set(tree_arrays(model.booster_).mode) == {"LEAF"}
    found = outputs_of(regression_graph(tree_member("lightgbm", model, 4)), x)[0][:, 0]
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-6)
    np.testing.assert_allclose(found, y.mean(), rtol=1e-5)


def test_a_random_forest_of_lightgbm_is_the_mean_of_its_trees():
    x, y = tabular()
    bagging = {"boosting_type": "rf", "subsample": 0.6, "subsample_freq": 1}
    model = lightgbm.LGBMRegressor(**QUICK, **bagging, verbosity=-1, n_jobs=1).fit(x, y)
    found = outputs_of(regression_graph(tree_member("lightgbm", model, 4)), x)[0][:, 0]
    np.testing.assert_allclose(found, model.booster_.predict(x), atol=1e-4 * np.abs(y).mean())


@pytest.mark.parametrize("odd", [{"zero_as_missing": True}, {"categorical": [0]}], ids=["zero", "categorical"])
def test_splits_without_an_onnx_form_are_refused(odd):
    x, y = tabular()
    x[:, 0] = np.arange(400) % 7
    y = y + np.where(x[:, 0] % 3 == 1, 100.0, 0.0)
    categorical = odd.pop("categorical", "auto")
    model = lightgbm.LGBMRegressor(**QUICK, **odd, verbosity=-1, n_jobs=1)
    model.fit(x, y, categorical_feature=categorical)
    with pytest.raises(ExportError, match="has no ONNX form"):
        tree_member("lightgbm", model, 4)


# --- others


def test_ridge_graph_equals_skl2onnx_of_the_same_pipeline():
    x, y = tabular()
    wide = x.astype(np.float64)
    pipeline = make_pipeline(StandardScaler(), Ridge(alpha=0.1 * len(y), solver="cholesky")).fit(wide, y)
    found = sufficient_statistics(wide[None], y[None], np.ones((1, len(y))))
    coefficients, intercept = solve_ridge(found, np.array([[0.1]]))
    ours = regression_graph(LinearMember("ridge", coefficients[0], float(intercept[0]), -1e9, 1e9))
    theirs = to_onnx(pipeline, x[:1], target_opset=17).SerializeToString()
    session = ort.InferenceSession(theirs, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: x})[0].ravel()
    np.testing.assert_allclose(outputs_of(ours, x)[0][:, 0], expected, atol=1e-4 * np.abs(y).mean())


def test_two_converted_regressors_live_in_one_graph():
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.svm import SVR

    x, y = tabular(n=60)
    models = [
        KNeighborsRegressor(3).fit(x, y),
        SVR().fit(x, y),
    ]
    members = tuple(tree_member(f"m{i}", model, 4) for i, model in enumerate(models))
    contract = FeatureSpec("regression", numeric=("a", "b", "c", "d"))
    graph = build_graph(GraphSpec(contract, members, np.array([0.25, 0.75]), np.ones(1)))
    native = 0.25 * models[0].predict(x) + 0.75 * models[1].predict(x)
    np.testing.assert_allclose(outputs_of(graph, x)[0][:, 0], native, atol=1e-3 * np.abs(y).mean())


def test_members_are_weighted_by_name_whatever_their_order():
    contract = FeatureSpec("forecast", horizon=1, windows=(1,), states=("ses", "theta"))
    constant = LinearMember("ridge", np.zeros(2), 5.0, -1e9, 1e9)
    members = (constant, SmoothingMember("theta", np.ones(1)), SmoothingMember("ses", np.zeros(1)))
    graph = build_graph(GraphSpec(contract, members, np.array([0.5, 0.3, 0.2]), np.ones(1)))
    row = [[1.0, 10.0, 100.0, 7.0, 1.0, 0.0, 1000.0, 7.0, 2.0, 3.0]]
    expected = 0.5 * (5.0 + 10.0) + 0.3 * ((1000.0 + 7.0) * 2.0 + 3.0) + 0.2 * 100.0
    assert outputs_of(graph, row)[0].item() == pytest.approx(expected, rel=1e-6)


def test_linear_prediction_stays_within_its_bounds_and_never_overflows():
    contract = FeatureSpec("regression", numeric=("a",), transform="log1p")
    graph = build_graph(
        GraphSpec(contract, (LinearMember("ridge", np.ones(1), 0.0, 2.0, 50.0),), np.ones(1), np.ones(1))
    )
    assert outputs_of(graph, [[-1e6], [1e6], [3.0]])[0][:, 0] == pytest.approx([2.0, 50.0, np.expm1(3.0)])
    open_ended = build_graph(
        GraphSpec(contract, (LinearMember("ridge", np.ones(1), 0.0, 0.0, 3e38),), np.ones(1), np.ones(1))
    )
    assert np.isfinite(outputs_of(open_ended, [[1e30]])).all()


def test_a_graph_that_onnx_runtime_refuses_is_an_inference_error():
    with pytest.raises(InferenceError, match="ONNX Runtime refuses the graph"):
        run_graph(b"no graph", np.zeros((1, 1), np.float32))


def test_a_regressor_without_converter_is_an_export_error():
    from regressors import Mean

    with pytest.raises(ExportError, match="Mean has no ONNX form"):
        tree_member("mine", Mean().fit(np.zeros((2, 1)), np.zeros(2)), 1)


def test_notes_are_kept_as_metadata():
    contract = FeatureSpec("regression", numeric=("größe",))
    model = GraphSpec(
        contract, (LinearMember("mean", np.zeros(1), 1.0, 1.0, 1.0),), np.ones(1), np.ones(1), {"note": "ja"}
    )
    graph = build_graph(model)
    assert names_of(graph) == ("größe",)
    assert metadata_of(graph)["note"] == "ja"
    assert json.loads(contract.to_json())["numeric"] == ["größe"]
    assert TreesMember("empty").converted == b""
