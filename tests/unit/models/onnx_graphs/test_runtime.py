"""The session that scoring uses says what the one of training says."""

import numpy as np
from kit import outputs_of

from adapters.runtime import predict, predict_each
from domain.errors import ScoringError
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.builder import GraphSpec, SmoothingMember, build_graph
from models.onnx_graphs.runtime import run_graph


def test_scores_are_the_outputs_of_the_graph_as_float64():
    contract = FeatureSpec("forecast", horizon=2, windows=(1,), states=("ses",), minimum=0.0)
    graph = build_graph(
        GraphSpec(contract, (SmoothingMember("ses", np.array([1.0, 2.0])),), np.ones(1), np.array([1.0, 30.0]))
    )
    rows = np.array([[1, 0, 10, 2, 1, 0], [2, 0, 10, 2, 1, 5]], dtype=np.float32)
    scores = predict(graph, rows)
    assert scores.prediction.tolist() == [12.0, 19.0]
    assert scores.lower.tolist() == [11.0, 0.0]
    assert scores.upper.tolist() == [13.0, 49.0]
    assert scores.prediction.dtype == np.float64
    trained = run_graph(graph, rows)
    for ours, theirs, plain in zip(
        (scores.prediction, scores.lower, scores.upper),
        (trained.prediction, trained.lower, trained.upper),
        outputs_of(graph, rows),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, plain[:, 0])


def test_models_run_together_are_scores_and_one_that_cannot_be_run_is_told():
    contract = FeatureSpec("forecast", horizon=2, windows=(1,), states=("ses",), minimum=0.0)
    graphs = [
        build_graph(
            GraphSpec(contract, (SmoothingMember("ses", np.array([1.0, 2.0])),), np.ones(1), np.array([half, 30.0]))
        )
        for half in (1.0, 2.0)
    ]
    rows = np.array([[1, 0, 10, 2, 1, 0], [2, 0, 10, 2, 1, 5]], dtype=np.float32)
    first, broken, second = predict_each([graphs[0], b"no graph", graphs[1]], [rows, rows, rows[:1]], contract)
    assert (first.prediction.tolist(), first.lower.tolist()) == ([12.0, 19.0], [11.0, 0.0])
    assert second.lower.tolist() == [10.0]
    assert second.prediction.dtype == np.float64
    assert isinstance(broken, ScoringError)
    assert str(broken).startswith("the model cannot be run: ")
