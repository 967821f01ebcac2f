"""Predictions are the outputs of the graphs as float64; sessions are made once."""

import gc
import weakref

import numpy as np
import onnxruntime as ort
from graphs import CONTRACTS, leaf, random_features, random_graph
from kit import outputs_of

from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.builder import GraphSpec, SmoothingMember, TreesMember, build_graph
from models.onnx_graphs.runtime import LoadedGraphs, run_each, run_graph


def test_predictions_are_the_outputs_of_the_graph_as_float64():
    contract = FeatureSpec("forecast", horizon=2, windows=(1,), states=("ses",), minimum=0.0)
    graph = build_graph(
        GraphSpec(contract, (SmoothingMember("ses", np.array([1.0, 2.0])),), np.ones(1), np.array([1.0, 30.0]))
    )
    rows = np.array([[1, 0, 10, 2, 1, 0], [2, 0, 10, 2, 1, 5]], dtype=np.float32)
    scores = run_graph(graph, rows)
    assert scores.prediction.tolist() == [12.0, 19.0]
    assert scores.lower.tolist() == [11.0, 0.0]
    assert scores.upper.tolist() == [13.0, 49.0]
    assert scores.prediction.dtype == np.float64
    (trained,) = run_each([graph], [rows], contract)
    for ours, theirs, plain in zip(
        (scores.prediction, scores.lower, scores.upper),
        (trained.prediction, trained.lower, trained.upper),
        outputs_of(graph, rows),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, plain[:, 0])


def test_graphs_run_together_are_predictions_and_one_that_cannot_be_run_is_a_failure():
    contract = FeatureSpec("forecast", horizon=2, windows=(1,), states=("ses",), minimum=0.0)
    graphs = [
        build_graph(
            GraphSpec(contract, (SmoothingMember("ses", np.array([1.0, 2.0])),), np.ones(1), np.array([half, 30.0]))
        )
        for half in (1.0, 2.0)
    ]
    rows = np.array([[1, 0, 10, 2, 1, 0], [2, 0, 10, 2, 1, 5]], dtype=np.float32)
    first, broken, second = run_each([graphs[0], b"no graph", graphs[1]], [rows, rows, rows[:1]], contract)
    assert (first.prediction.tolist(), first.lower.tolist()) == ([12.0, 19.0], [11.0, 0.0])
    assert second.lower.tolist() == [10.0]
    assert second.prediction.dtype == np.float64
    assert isinstance(broken, Failure)
    assert broken.reason


def opened(monkeypatch):
    """Graphs whose sessions are made from now on."""
    graphs, plain = [], ort.InferenceSession
    monkeypatch.setattr(
        ort, "InferenceSession", lambda graph, *args, **more: graphs.append(graph) or plain(graph, *args, **more)
    )
    return graphs


def test_loaded_graphs_make_one_session_per_batch_and_reuse_it(monkeypatch):
    contract, random, calls = CONTRACTS[0], np.random.default_rng(0), opened(monkeypatch)
    trees = build_graph(GraphSpec(contract, (TreesMember("trees", nodes=leaf(7.0)),), np.ones(1), np.ones(3)))
    graphs = [random_graph(contract, random, names) for names in (["ses"], ["theta", "ridge"], ["ses", "ridge"])]
    rows = [random_features(contract, random, n) for n in (2, 1, 3, 2, 1)]
    loaded = LoadedGraphs([*graphs, trees, b"no graph"], contract)
    assert calls == []
    first = loaded.run(rows)
    assert len(calls) == 3  # the batch, the trees, and a try at what is no graph
    second = loaded.run(rows)
    assert len(calls) == 3
    assert isinstance(first[4], Failure)
    assert first[4] == second[4]
    for before, after, once in zip(first[:4], second[:4], run_each([*graphs, trees], rows[:4], contract), strict=True):
        for name in ("prediction", "lower", "upper"):
            assert getattr(before, name).tobytes() == getattr(after, name).tobytes() == getattr(once, name).tobytes()


def test_sessions_of_single_graphs_are_bounded(monkeypatch):
    contract, random, calls = CONTRACTS[0], np.random.default_rng(1), opened(monkeypatch)
    trees = [
        build_graph(GraphSpec(contract, (TreesMember("trees", nodes=leaf(value)),), np.ones(1), np.ones(3)))
        for value in (1.0, 2.0, 3.0)
    ]
    rows = [random_features(contract, random, 1)] * 3
    for kept, sessions in ((3, 3), (1, 6), (0, 6)):
        loaded = LoadedGraphs(trees, contract, kept_sessions=kept)
        calls.clear()
        outputs = [loaded.run(rows) for _ in range(2)]
        assert len(calls) == sessions
        assert [result.prediction for result in outputs[1]] == [run_graph(graph, rows[0]).prediction for graph in trees]


def test_sessions_go_with_their_graphs():
    """Without a reference cycle: a worker must not hold sessions until the next collection."""
    contract, random = CONTRACTS[0], np.random.default_rng(2)
    loaded = LoadedGraphs([random_graph(contract, random, ["ses"]) for _ in range(2)], contract)
    loaded.run([random_features(contract, random, 1)] * 2)
    gone = weakref.ref(loaded)
    gc.disable()
    try:
        del loaded
        assert gone() is None
    finally:
        gc.enable()
