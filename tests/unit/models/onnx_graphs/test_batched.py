"""Batched graphs give what each graph gives alone."""

import numpy as np
import onnx
import pytest
from graphs import CONTRACTS, HORIZON, SMOOTHING, leaf, random_features, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import AdaBoostRegressor, BaggingRegressor
from sklearn.linear_model import TweedieRegressor

from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.batched import batch_graphs
from models.onnx_graphs.builder import GraphSpec, TreesMember, build_graph
from models.onnx_graphs.runtime import run_each, run_graph
from models.regressors.estimators import tree_member

kinds = st.lists(st.sampled_from(["ses", "theta", "ridge", "other"]), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, deadline=None)
@given(st.lists(kinds, min_size=2, max_size=6), st.sampled_from(CONTRACTS), st.integers(0, 2**32 - 1))
def test_a_batched_graph_gives_what_each_graph_gives_alone(members, contract, seed):
    random = np.random.default_rng(seed)
    graphs = [random_graph(contract, random, names) for names in members]
    rows = [random_features(contract, random, int(n)) for n in random.integers(1, 5, len(graphs))]
    assert batch_graphs(graphs, contract).places == tuple(range(len(graphs)))
    for graph, own, outputs in zip(graphs, rows, run_each(graphs, rows, contract), strict=True):
        alone = run_graph(graph, own)
        for name in ("prediction", "lower", "upper"):
            np.testing.assert_allclose(getattr(outputs, name), getattr(alone, name), rtol=1e-6, atol=1e-6 * 100)


def test_regression_models_with_several_linear_members_are_batched():
    contract = FeatureSpec("regression", numeric=("a", "b"), transform="log1p")
    random = np.random.default_rng(0)
    graphs = [
        random_graph(contract, random, names) for names in (["ridge"], ["mean", "ridge"], ["median", "mean", "ridge"])
    ]
    rows = [random_features(contract, random, n) for n in (3, 1, 2)]
    assert batch_graphs(graphs, contract).places == (0, 1, 2)
    for graph, own, outputs in zip(graphs, rows, run_each(graphs, rows, contract), strict=True):
        np.testing.assert_allclose(outputs.prediction, run_graph(graph, own).prediction, rtol=1e-6)


def test_what_cannot_be_batched_runs_alone():
    contract = CONTRACTS[0]
    random = np.random.default_rng(1)
    own = [random_graph(contract, random, ["ses"]), random_graph(contract, random, ["theta", "ridge"])]
    half = np.ones(HORIZON)
    trees = build_graph(GraphSpec(contract, (TreesMember("trees", nodes=leaf(7.0)),), np.ones(1), half))
    other = onnx.load_model_from_string(own[0])
    next(node for node in other.graph.node if node.op_type == "Add").op_type = "Sub"
    changed = other.SerializeToString()
    graphs = [own[0], trees, changed, b"no graph", own[1], b""]
    assert batch_graphs(graphs, contract).places == (0, 4)
    rows = [random_features(contract, random, 2) for _ in graphs]
    outputs = run_each(graphs, rows, contract)
    for place in (0, 1, 2, 4):
        np.testing.assert_allclose(
            outputs[place].prediction, run_graph(graphs[place], rows[place]).prediction, rtol=1e-6
        )
    assert isinstance(outputs[3], Failure)
    assert isinstance(outputs[5], Failure)


@pytest.mark.parametrize(
    "regressor", [BaggingRegressor(n_estimators=2), AdaBoostRegressor(n_estimators=2), TweedieRegressor()]
)
@pytest.mark.parametrize("transform", ["none", "log1p"])
def test_converted_regressors_run_alone(regressor, transform):
    """Whatever their graphs are made of; some have as many nodes as a graph template."""
    random = np.random.default_rng(6)
    contract = FeatureSpec("regression", numeric=("a", "b"), transform=transform)
    x = random.uniform(0, 10, (60, 2)).astype(np.float32)
    fitted = tree_member("guest", regressor.fit(x, 1 + x.sum(axis=1)), 2)
    guest = build_graph(GraphSpec(contract, (fitted,), np.ones(1), np.ones(1)))
    own = [random_graph(contract, random, ["ridge"]) for _ in range(2)]
    graphs, rows = [own[0], guest, own[1], guest], [x[:3], x[:2], x[3:4], x]
    assert batch_graphs(graphs, contract).places == (0, 2)
    assert batch_graphs([guest], contract) is None
    assert batch_graphs([guest, guest], contract) is None
    for graph, own_rows, outputs in zip(graphs, rows, run_each(graphs, rows, contract), strict=True):
        np.testing.assert_allclose(outputs.prediction, run_graph(graph, own_rows).prediction, rtol=1e-6)


def test_a_member_that_a_model_lacks_cannot_spoil_it():
    """Its states may be anything: 0 times infinity is no number."""
    contract, random = CONTRACTS[0], np.random.default_rng(7)
    graphs = [
        random_graph(contract, random, ["ses"]),
        random_graph(contract, random, ["theta"]),
        random_graph(contract, random, ["ses"]),
    ]
    rows = [random_features(contract, random, 2) for _ in graphs]
    rows[0][:, contract.column("theta.level")] = np.inf
    first, *_ = run_each(graphs, rows, contract)
    assert np.isfinite(first.prediction).all()
    np.testing.assert_allclose(first.prediction, run_graph(graphs[0], rows[0]).prediction)


def test_a_graph_of_another_contract_is_left_out_of_the_batch():
    random = np.random.default_rng(2)
    other = FeatureSpec("forecast", horizon=HORIZON, lags=(1,), windows=(2, 4), states=SMOOTHING)
    graphs = [
        random_graph(CONTRACTS[0], random, ["ses"]),
        random_graph(other, random, ["ses"]),
        random_graph(CONTRACTS[0], random, ["ridge"]),
    ]
    assert batch_graphs(graphs, CONTRACTS[0]).places == (0, 2)
    assert batch_graphs(graphs[:2], CONTRACTS[0]) is None


def test_a_missing_value_of_one_segment_spoils_no_other():
    random = np.random.default_rng(3)
    graphs = [random_graph(CONTRACTS[0], random, ["ses", "ridge"]) for _ in range(3)]
    rows = [random_features(CONTRACTS[0], random, 2) for _ in graphs]
    rows[1][:, 1:] = np.nan
    first, second, third = run_each(graphs, rows, CONTRACTS[0])
    assert np.isnan(second.prediction).all()
    assert np.isfinite([*first.prediction, *third.prediction]).all()


def test_features_of_another_width_are_that_models_error_alone():
    random = np.random.default_rng(4)
    graphs = [random_graph(CONTRACTS[0], random, ["ses"]) for _ in range(3)]
    rows = [random_features(CONTRACTS[0], random, 2) for _ in graphs]
    rows[1] = rows[1][:, :-1]
    outputs = run_each(graphs, rows, CONTRACTS[0])
    assert [isinstance(result, Failure) for result in outputs] == [False, True, False]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_batched_graph_is_a_valid_graph(contract):
    random = np.random.default_rng(5)
    batched = batch_graphs([random_graph(contract, random, ["ses", "ridge"]) for _ in range(3)], contract)
    onnx.checker.check_model(onnx.load_model_from_string(batched.graph), full_check=True)
