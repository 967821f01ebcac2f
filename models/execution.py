"""Graphs run: one by itself, or many of one contract together.

ONNX Runtime with one thread: whoever has cores to spare runs many buckets side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.errors import ExportError, first_line
from models.features import Contract
from models.stack import stack_graphs

__all__ = ["Predictions", "run_each", "run_graph"]

Float32Array = npt.NDArray[np.float32]
_OUTPUTS = ["prediction", "lower", "upper"]


@dataclass(frozen=True)
class Predictions:
    """Outputs of a graph, each float32 [n], in the target's own unit."""

    prediction: Float32Array
    lower: Float32Array
    upper: Float32Array


def run_graph(graph: bytes, features: Float32Array) -> Predictions:
    """Run a graph once on features [n, k].

    Raises ExportError if ONNX Runtime refuses the graph.
    """
    return Predictions(*(output[:, 0] for output in _run(graph, {"features": features})))


def run_each(
    graphs: Sequence[bytes], features: Sequence[Float32Array], contract: Contract
) -> list[Predictions | ExportError]:
    """Run every graph on features of its own, [n, k] each; what can be stacked, in one session.

    A graph that cannot be run gives its error, and no other one is affected.
    """
    results: dict[int, Predictions | ExportError] = {}
    stack = stack_graphs(graphs, contract)
    if stack is not None:
        try:
            stacked = _run_stack(stack.graph, [features[place] for place in stack.places])
        except ExportError:
            # One table may be too large, or one model's features of another width: each by itself tells which.
            stacked = []
        # What is not finite may be another member's fault, which the model lacks: 0 times infinity is no number.
        results = {place: found for place, found in zip(stack.places, stacked, strict=False) if _finite(found)}
    for place, graph in enumerate(graphs):
        if place not in results:
            try:
                results[place] = run_graph(graph, features[place])
            except ExportError as exc:
                results[place] = exc
    return [results[place] for place in range(len(graphs))]


def _finite(found: Predictions) -> bool:
    return bool(np.isfinite(np.stack([found.prediction, found.lower, found.upper])).all())


def _run_stack(graph: bytes, features: Sequence[Float32Array]) -> list[Predictions]:
    """Outputs of each model of a stack. features : [n, k] of each."""
    lengths = [len(rows) for rows in features]
    try:
        inputs: dict[str, npt.NDArray[np.generic]] = {
            "features": np.concatenate(features),
            "segment": np.repeat(np.arange(len(features)), lengths),
        }
    except ValueError as exc:
        raise ExportError(f"features of different widths: {exc}") from exc
    outputs = [output[:, 0] for output in _run(graph, inputs)]
    ends = np.cumsum(lengths)
    return [
        Predictions(*(output[end - length : end] for output in outputs))
        for end, length in zip(ends.tolist(), lengths, strict=True)
    ]


def _run(graph: bytes, inputs: dict[str, npt.NDArray[np.generic]]) -> list[Float32Array]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        outputs: list[Float32Array] = session.run(_OUTPUTS, inputs)
    except Exception as exc:
        # The runtime's errors have no base class but Exception.
        raise ExportError(f"ONNX Runtime refuses the graph: {first_line(exc)}") from exc
    return outputs
