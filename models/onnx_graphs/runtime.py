"""Run ONNX graphs: one alone, or many of one contract as a batched graph.

ONNX Runtime gets one thread per session: spare cores run other buckets side by side.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from domain.arrays import Float32Array, FloatArray
from domain.errors import InferenceError, first_line
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.batched import batch_graphs

__all__ = ["LoadedGraphs", "Predictions", "Verified", "run_each", "run_graph", "run_verified"]

_OUTPUTS = ["prediction", "lower", "upper"]
_KEPT_SESSIONS = 8


@dataclass(frozen=True)
class Predictions:
    """Outputs of a model in the target's own unit, float64 [n] each; the graph computes them in float32."""

    prediction: FloatArray
    lower: FloatArray
    upper: FloatArray

    def from_centre(self, centre: float, minimum: float | None) -> "Predictions":
        """Move outputs that are relative to a centre to the target's own unit, and keep them above its minimum."""
        least = -np.inf if minimum is None else minimum
        return Predictions(
            *(np.maximum(values + centre, least) for values in (self.prediction, self.lower, self.upper))
        )

    def finite(self) -> bool:
        """Return True if every number of the three outputs is finite."""
        return bool(np.isfinite(np.stack([self.prediction, self.lower, self.upper])).all())


@dataclass(frozen=True)
class Verified:
    """Result of one graph, and the milliseconds that a session and a run of its family take."""

    outputs: Predictions | Failure
    latency_ms: float


class LoadedGraphs:
    """Graphs of one contract, parsed once. Sessions are made by the first run that needs them, and reused.

    All graphs that can be batched share one session. Any other graph, such as one with trees, has a session of its
    own; those used last are kept.

    Parameters
    ----------
    graphs : serialised ONNX graphs.
    contract : the feature contract that they have in common.
    kept_sessions : number of single graphs' sessions to keep. One with trees takes about a megabyte.
    """

    def __init__(self, graphs: Sequence[bytes], contract: FeatureSpec, kept_sessions: int = _KEPT_SESSIONS) -> None:
        batched, all_graphs = batch_graphs(graphs, contract), tuple(graphs)
        self._places, self._batched = (batched.places, batched.graph) if batched else ((), b"")
        # The cache holds the graphs, not this object: a cycle would keep sessions in memory until the next collection.
        self._single = lru_cache(maxsize=kept_sessions)(lambda place: _open(all_graphs[place]))

    def run(self, features: Sequence[Float32Array]) -> list[Predictions | Failure]:
        """Run every graph on features of its own.

        Parameters
        ----------
        features : [n, k] per graph; n may differ.

        Returns
        -------
        One result per graph. The Failure of a graph that cannot be run carries the message of ONNX Runtime; no other
        graph is affected.
        """
        results = self._run_batched(features)
        return [
            results[place] if place in results else _outputs(self._single(place), {"features": rows})
            for place, rows in enumerate(features)
        ]

    @cached_property
    def _batched_session(self) -> ort.InferenceSession | Failure:
        return _open(self._batched)

    def _run_batched(self, features: Sequence[Float32Array]) -> dict[int, Predictions]:
        """Results by place; without the graphs that have to run alone."""
        if not self._places:
            return {}
        lengths = [len(features[place]) for place in self._places]
        try:
            inputs: dict[str, npt.NDArray[np.generic]] = {
                "features": np.concatenate([features[place] for place in self._places]),
                "segment": np.repeat(np.arange(len(self._places)), lengths),
            }
        except ValueError:  # The features of one graph are of another width; runs alone tell which.
            return {}
        outputs = _outputs(self._batched_session, inputs)
        if isinstance(outputs, Failure):  # A table may be too large for the runtime.
            return {}
        results = zip(self._places, _split(outputs, lengths), strict=True)
        # Not finite may be the fault of another graph's member, which this one lacks: 0 times infinity is not a number.
        return {place: part for place, part in results if part.finite()}


def _split(outputs: Predictions, lengths: Sequence[int]) -> list[Predictions]:
    """Outputs of consecutive blocks of rows."""
    ends = np.cumsum(lengths).tolist()
    blocks = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    return [Predictions(outputs.prediction[rows], outputs.lower[rows], outputs.upper[rows]) for rows in blocks]


def run_graph(graph: bytes, features: Float32Array) -> Predictions:
    """Run one graph once on features [n, k].

    Raises InferenceError if ONNX Runtime refuses the graph.
    """
    outputs = _outputs(_open(graph), {"features": features})
    if isinstance(outputs, Failure):
        raise InferenceError(_refusal(outputs))
    return outputs


def run_each(
    graphs: Sequence[bytes], features: Sequence[Float32Array], contract: FeatureSpec
) -> list[Predictions | Failure]:
    """Run every graph once on features of its own; as `LoadedGraphs.run`, whose sessions are not kept."""
    return LoadedGraphs(graphs, contract).run(features)


def run_verified(
    graphs: Sequence[bytes],
    features: Sequence[Float32Array],
    contract: FeatureSpec,
    families: Sequence[Hashable],
    units: Sequence[float],
) -> list[Verified]:
    """As `run_each`, but the first graph of each family also runs alone; if the results differ, all graphs run alone.

    Parameters
    ----------
    families : the kind of each graph.
    units : the scale of each graph's differences, such as its mean target.
    """
    began = time.perf_counter()
    outputs = run_each(graphs, features, contract)
    took_ms = (time.perf_counter() - began) * 1000
    if len(graphs) == 1:
        return [Verified(_refused(outputs[0]), took_ms)]
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
    return [Verified(_refused(output), latencies[family]) for output, family in zip(outputs, families, strict=True)]


def _agree(alone: Predictions | Failure, together: Predictions | Failure, unit: float) -> bool:
    """Return True if a graph gives the same results alone and in a batch, to float32's precision."""
    if isinstance(alone, Failure) or isinstance(together, Failure):
        return isinstance(alone, Failure) and isinstance(together, Failure)
    pairs = ((alone.prediction, together.prediction), (alone.lower, together.lower), (alone.upper, together.upper))
    return all(
        np.allclose(single.astype(np.float32), batch.astype(np.float32), rtol=1e-5, atol=1e-5 * unit, equal_nan=True)
        for single, batch in pairs
    )


def _refused(outputs: Predictions | Failure) -> Predictions | Failure:
    return Failure(_refusal(outputs)) if isinstance(outputs, Failure) else outputs


def _refusal(failure: Failure) -> str:
    return f"ONNX Runtime refuses the graph: {first_line(failure.reason)}"


def _open(graph: bytes) -> ort.InferenceSession | Failure:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # noqa: BLE001 - the runtime's errors have no base class but Exception
        return _failure(exc)


def _outputs(
    session: ort.InferenceSession | Failure, inputs: dict[str, npt.NDArray[np.generic]]
) -> Predictions | Failure:
    if isinstance(session, Failure):
        return session
    try:
        outputs: list[Float32Array] = session.run(_OUTPUTS, inputs)
    except Exception as exc:  # noqa: BLE001 - see `_open`
        return _failure(exc)
    return Predictions(*(output[:, 0].astype(np.float64) for output in outputs))


def _failure(exc: Exception) -> Failure:
    return Failure(str(exc).strip() or type(exc).__name__)
