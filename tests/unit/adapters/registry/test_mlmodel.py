"""MLmodel writer: the graph that the tests of the registry store."""

import onnx
from registry_store import graph


def test_graph_of_the_tests_is_valid() -> None:
    onnx.checker.check_model(onnx.load_from_string(graph([1.0, 2.0])))
