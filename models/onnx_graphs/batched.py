"""Many models of one contract as one batched graph: their weights in tables, gathered by a second input, `segment`.

Making a session takes longer than running it, and a fleet has one model per segment. Graphs of smoothing and linear
members differ only in their initializers, so that a whole bucket runs in one session. Inputs are `features` float32
[n, k] and `segment` int64 [n], the place of each row's model in the batch; outputs are those of every graph. A member
that a model lacks has weight 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from models.features.feature_spec import STATES, FeatureSpec
from models.onnx_graphs.builder import (
    GraphBuilder,
    bounded_linear,
    bounded_outputs,
    design_columns,
    graph_template,
    step_index,
)

__all__ = ["BatchedGraph", "batch_graphs"]

_Initializers = Mapping[str, npt.NDArray[Any]]
_FAMILIES = ((True, True), (True, False), (False, True))
"""Smoothing and linear members, or one of them."""


@dataclass(frozen=True)
class BatchedGraph:
    """One graph for the models at `places` of a list: row i of its tables is model `places[i]`."""

    graph: bytes
    places: tuple[int, ...]


def batch_graphs(graphs: Sequence[bytes], contract: FeatureSpec) -> BatchedGraph | None:
    """Combine the graphs that can be batched; None where fewer than two can.

    Graphs with trees, and graphs that this version of `build_graph` would not make, have to run alone.
    """
    if len(graphs) < 2:
        return None
    templates = _templates(contract.to_json())
    places, models = [], []
    for place, graph in enumerate(graphs):
        initializers = _initializers(graph, templates)
        if initializers is not None:
            places.append(place)
            models.append(initializers)
    return BatchedGraph(_build(models, contract), tuple(places)) if len(models) > 1 else None


@dataclass(frozen=True)
class _Template:
    """The part that all graphs of some families share, serialised, and two counts that rule out most other graphs."""

    content: bytes
    constants: int
    nodes: int


@lru_cache(maxsize=64)
def _templates(contract: str) -> tuple[_Template, ...]:
    """The graph templates of a contract's families. contract : as JSON."""
    spec = FeatureSpec.from_json(contract)
    protos = [graph_template(spec, *families) for families in _FAMILIES if spec.states or not families[0]]
    return tuple(
        _Template(proto.SerializeToString(deterministic=True), len(proto.graph.initializer), len(proto.graph.node))
        for proto in protos
    )


def _initializers(graph: bytes, templates: Sequence[_Template]) -> _Initializers | None:
    """The initializers of a graph that is otherwise one of the templates; else None."""
    try:
        proto = onnx.ModelProto.FromString(graph)
    except DecodeError:  # Running the graph says what is wrong with it.
        return None
    for template in templates:
        if len(proto.graph.node) == template.nodes and len(proto.graph.initializer) > template.constants:
            tensors = list(proto.graph.initializer[template.constants :])
            del proto.graph.initializer[template.constants :]
            del proto.metadata_props[1:]
            same = proto.SerializeToString(deterministic=True) == template.content
            return {tensor.name: _values(tensor) for tensor in tensors} if same else None
    return None


def _values(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    kind: np.dtype[Any] = np.dtype("<i8") if tensor.data_type == TensorProto.INT64 else np.dtype("<f4")
    values: npt.NDArray[Any] = np.frombuffer(tensor.raw_data, kind)
    return values.reshape(tuple(tensor.dims))


def _build(models: Sequence[_Initializers], contract: FeatureSpec) -> bytes:
    smoothing = sorted({int(column) for model in models if "growth" in model for column in model["level_at"]})
    n_linear = max((model["intercept"].shape[1] for model in models if "intercept" in model), default=0)
    graph = GraphBuilder()
    step = step_index(graph, contract)
    at_step = _place_of_step(graph, step, contract.horizon) if step else "segment"
    parts = []
    if smoothing:
        parts.append(_smoothing(graph, models, smoothing, at_step, contract))
    if n_linear:
        parts.append(_linear(graph, models, n_linear, contract))
    combined = parts[0] if len(parts) == 1 else graph.add("Add", parts, "combined")
    graph.constant("half_width", np.concatenate([model["half_width"] for model in models]))
    width = graph.add("Gather", ["half_width", at_step], "width", axis=0)
    bounded_outputs(graph, combined, width, contract)
    segment = helper.make_tensor_value_info("segment", TensorProto.INT64, ["n"])
    return bytes(graph.model(contract, segment).SerializeToString())


def _place_of_step(graph: GraphBuilder, step: str, horizon: int) -> str:
    """Row of the tables that have one row per model and step, for each row of features."""
    first = graph.add("Mul", ["segment", graph.constant("horizon", horizon, np.int64)], "first_row")
    return graph.add("Add", [first, step], "table_row")


def _smoothing(
    graph: GraphBuilder, models: Sequence[_Initializers], columns: Sequence[int], at_step: str, contract: FeatureSpec
) -> str:
    """Weighted sum of the smoothing members, [n, 1]. columns : of the members' levels in the features."""
    growth = np.zeros((len(models), contract.horizon, len(columns)), dtype=np.float32)
    weights = np.zeros((len(models), len(columns)), dtype=np.float32)
    place = {column: m for m, column in enumerate(columns)}
    for row, model in enumerate(models):
        if "growth" in model:
            at = [place[int(column)] for column in model["level_at"]]
            growth[row][:, at] = model["growth"]
            weights[row, at] = model["weights"][: len(at), 0]
    level, trend, multiplier, addend = (
        graph.columns([column + number for column in columns], state) for number, state in enumerate(STATES)
    )
    table = graph.constant("growth", growth.reshape(-1, len(columns)))
    rise = graph.add("Mul", [graph.add("Gather", [table, at_step], "growth_at_step", axis=0), trend], "rise")
    seasonal = graph.add("Mul", [graph.add("Add", [level, rise], "trended"), multiplier], "seasonal")
    return _weighted(graph, graph.add("Add", [seasonal, addend], "smoothing"), weights, "smoothing")


def _linear(graph: GraphBuilder, models: Sequence[_Initializers], members: int, contract: FeatureSpec) -> str:
    """Weighted sum of the linear members, [n, 1]."""
    width = contract.design.width
    coefficients = np.zeros((len(models), members, width), dtype=np.float32)
    limits = {name: np.zeros((len(models), members), np.float32) for name in ("intercept", "low_bound", "high_bound")}
    weights = np.zeros((len(models), members), dtype=np.float32)
    for row, model in enumerate(models):
        if "intercept" in model:
            having = model["intercept"].shape[1]
            coefficients[row, :having] = model["coefficients"].T
            weights[row, :having] = model["weights"][-having:, 0]
            for name, table in limits.items():
                table[row, :having] = model[name][0]
    design, anchor = design_columns(graph, contract, contract.transform, "linear")
    wide = graph.add("Unsqueeze", [design, graph.constant("members_axis", [1], np.int64)], "design_wide")
    product = graph.add("Mul", [wide, _gathered(graph, "coefficients", coefficients)], "products")
    summed = graph.add("ReduceSum", [product, graph.constant("columns_axis", [2], np.int64)], "product", keepdims=0)
    intercept, low, high = (_gathered(graph, name, table) for name, table in limits.items())
    return _weighted(graph, bounded_linear(graph, summed, anchor, (intercept, low, high), contract), weights, "linear")


def _gathered(graph: GraphBuilder, name: str, table: npt.NDArray[np.float32]) -> str:
    return graph.add("Gather", [graph.constant(f"{name}_table", table), "segment"], name, axis=0)


def _weighted(graph: GraphBuilder, members: str, weights: npt.NDArray[np.float32], family: str) -> str:
    shares = graph.add("Mul", [members, _gathered(graph, f"{family}_weights", weights)], f"{family}_shares")
    axis = graph.constant(f"{family}_axis", [1], np.int64)
    return graph.add("ReduceSum", [shares, axis], f"{family}_sum", keepdims=1)
