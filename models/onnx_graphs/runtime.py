"""Graphs run: one by itself, or many of one contract together.

ONNX Runtime with one thread: whoever has cores to spare runs many buckets side by side.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from domain.arrays import Float32Array
from domain.errors import ExportError, first_line
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.batched import batch_graphs

__all__ = ["Predictions", "Verified", "run_each", "run_graph", "run_verified"]

_OUTPUTS = ["prediction", "lower", "upper"]


@dataclass(frozen=True)
class Predictions:
    """Outputs of a graph, each float32 [n], in the target's own unit."""

    prediction: Float32Array
    lower: Float32Array
    upper: Float32Array


@dataclass(frozen=True)
class Verified:
    """What came of one graph, and the milliseconds that a session and a run of its family take."""

    outputs: Predictions | ExportError
    latency_ms: float


def run_graph(graph: bytes, features: Float32Array) -> Predictions:
    """Run a graph once on features [n, k].

    Raises ExportError if ONNX Runtime refuses the graph.
    """
    return Predictions(*(output[:, 0] for output in _run(graph, {"features": features})))


def run_each(
    graphs: Sequence[bytes], features: Sequence[Float32Array], contract: FeatureSpec
) -> list[Predictions | ExportError]:
    """Run every graph on features of its own, [n, k] each; what can be stacked, in one session.

    A graph that cannot be run gives its error, and no other one is affected.
    """
    results: dict[int, Predictions | ExportError] = {}
    stack = batch_graphs(graphs, contract)
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


def run_verified(
    graphs: Sequence[bytes],
    features: Sequence[Float32Array],
    contract: FeatureSpec,
    families: Sequence[Hashable],
    units: Sequence[float],
) -> list[Verified]:
    """As `run_each`, but the first graph of each family is also run by itself; if that makes a difference, all are.

    families : what kind of graph each is. units : what differences of each are measured in, such as its mean target.
    """
    began = time.perf_counter()
    outputs = run_each(graphs, features, contract)
    took_ms = (time.perf_counter() - began) * 1000
    if len(graphs) == 1:
        return [Verified(outputs[0], took_ms)]
    latencies: dict[Hashable, float] = {}
    same = True
    for place, family in enumerate(families):
        if family not in latencies:
            began = time.perf_counter()
            alone = run_each([graphs[place]], [features[place]], contract)[0]
            latencies[family] = (time.perf_counter() - began) * 1000
            same = same and _agree(alone, outputs[place], units[place])
    if not same:
        outputs = [run_each([graph], [rows], contract)[0] for graph, rows in zip(graphs, features, strict=True)]
    return [Verified(output, latencies[family]) for output, family in zip(outputs, families, strict=True)]


def _agree(alone: Predictions | ExportError, together: Predictions | ExportError, unit: float) -> bool:
    """Whether a graph gives the same by itself and among others, to float32's precision."""
    if isinstance(alone, ExportError) or isinstance(together, ExportError):
        return isinstance(alone, ExportError) and isinstance(together, ExportError)
    pairs = ((alone.prediction, together.prediction), (alone.lower, together.lower), (alone.upper, together.upper))
    return all(np.allclose(one, other, rtol=1e-5, atol=1e-5 * unit, equal_nan=True) for one, other in pairs)


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
