"""Many models of one contract as one graph: their weights in tables, gathered by a second input, `segment`.

Making a session costs more than running it, and a fleet has one model a segment. Graphs of smoothing and linear members
differ in their variables only, so that a whole bucket can be run in one session. Inputs are `features` float32 [n, k]
and `segment` int64 [n], the place of each row's model in the stack; outputs are those of every graph. A member that a
model lacks has weight 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

_Variables = Mapping[str, npt.NDArray[Any]]
_FAMILIES = ((True, True), (True, False), (False, True))
"""Smoothing and linear members, or one of them."""


@dataclass(frozen=True)
class BatchedGraph:
    """One graph for the models at `places` of the list that it was made from: row i of its tables is `places[i]`."""

    graph: bytes
    places: tuple[int, ...]


def batch_graphs(graphs: Sequence[bytes], contract: FeatureSpec) -> BatchedGraph | None:
    """The graphs that can be stacked, as one; None where fewer than two can.

    Those with trees, and those that this version of `build_graph` would not make, must be run by themselves.
    """
    if len(graphs) < 2:
        return None
    frames = _frames_of(contract)
    places, found = [], []
    for place, graph in enumerate(graphs):
        variables = _variables(graph, frames)
        if variables is not None:
            places.append(place)
            found.append(variables)
    return BatchedGraph(_build(found, contract), tuple(places)) if len(found) > 1 else None


@dataclass(frozen=True)
class _Frame:
    """What graphs of some families have in common, and how to tell them by it."""

    content: bytes
    constants: int
    nodes: int


_frames: dict[str, tuple[_Frame, ...]] = {}
_MOST_FRAMES = 64


def _frames_of(contract: FeatureSpec) -> tuple[_Frame, ...]:
    """The frames of a contract's families; made once."""
    key = contract.to_json()
    if key not in _frames:
        if len(_frames) >= _MOST_FRAMES:
            _frames.clear()
        protos = [graph_template(contract, *families) for families in _FAMILIES if contract.states or not families[0]]
        _frames[key] = tuple(
            _Frame(proto.SerializeToString(deterministic=True), len(proto.graph.initializer), len(proto.graph.node))
            for proto in protos
        )
    return _frames[key]


def _variables(graph: bytes, frames: Sequence[_Frame]) -> _Variables | None:
    """The variables of a graph that one of the frames is the rest of; else None."""
    try:
        proto = onnx.ModelProto.FromString(graph)
    except DecodeError:  # Whoever runs the graph says what is wrong with it.
        return None
    for known in frames:
        if len(proto.graph.node) == known.nodes and len(proto.graph.initializer) > known.constants:
            tensors = list(proto.graph.initializer[known.constants :])
            del proto.graph.initializer[known.constants :]
            del proto.metadata_props[1:]
            same = proto.SerializeToString(deterministic=True) == known.content
            return {each.name: _values(each) for each in tensors} if same else None
    return None


def _values(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    kind: np.dtype[Any] = np.dtype("<i8") if tensor.data_type == TensorProto.INT64 else np.dtype("<f4")
    values: npt.NDArray[Any] = np.frombuffer(tensor.raw_data, kind)
    return values.reshape(tuple(tensor.dims))


def _build(found: Sequence[_Variables], contract: FeatureSpec) -> bytes:
    smoothing = sorted({int(column) for each in found if "growth" in each for column in each["level_at"]})
    n_linear = max((each["intercept"].shape[1] for each in found if "intercept" in each), default=0)
    graph = GraphBuilder()
    step = step_index(graph, contract)
    at_step = _place_of_step(graph, step, contract.horizon) if step else "segment"
    parts = []
    if smoothing:
        parts.append(_smoothing(graph, found, smoothing, at_step, contract))
    if n_linear:
        parts.append(_linear(graph, found, n_linear, contract))
    combined = parts[0] if len(parts) == 1 else graph.add("Add", parts, "combined")
    graph.constant("half_width", np.concatenate([each["half_width"] for each in found]))
    width = graph.add("Gather", ["half_width", at_step], "width", axis=0)
    bounded_outputs(graph, combined, width, contract)
    segment = helper.make_tensor_value_info("segment", TensorProto.INT64, ["n"])
    return bytes(graph.model(contract, segment).SerializeToString())


def _place_of_step(graph: GraphBuilder, step: str, horizon: int) -> str:
    """Row of the tables that have one a model and step, for each row of features."""
    first = graph.add("Mul", ["segment", graph.constant("horizon", horizon, np.int64)], "first_row")
    return graph.add("Add", [first, step], "table_row")


def _smoothing(
    graph: GraphBuilder, found: Sequence[_Variables], columns: Sequence[int], at_step: str, contract: FeatureSpec
) -> str:
    """Weighted sum of the smoothing members, [n, 1]. columns : of the members' levels in the features."""
    growth = np.zeros((len(found), contract.horizon, len(columns)), dtype=np.float32)
    weights = np.zeros((len(found), len(columns)), dtype=np.float32)
    place = {column: m for m, column in enumerate(columns)}
    for row, each in enumerate(found):
        if "growth" in each:
            at = [place[int(column)] for column in each["level_at"]]
            growth[row][:, at] = each["growth"]
            weights[row, at] = each["weights"][: len(at), 0]
    level, trend, multiplier, addend = (
        graph.columns([column + number for column in columns], state) for number, state in enumerate(STATES)
    )
    table = graph.constant("growth", growth.reshape(-1, len(columns)))
    rise = graph.add("Mul", [graph.add("Gather", [table, at_step], "growth_at_step", axis=0), trend], "rise")
    seasonal = graph.add("Mul", [graph.add("Add", [level, rise], "trended"), multiplier], "seasonal")
    return _weighted(graph, graph.add("Add", [seasonal, addend], "smoothing"), weights, "smoothing")


def _linear(graph: GraphBuilder, found: Sequence[_Variables], members: int, contract: FeatureSpec) -> str:
    """Weighted sum of the linear members, [n, 1]."""
    width = contract.design.width
    coefficients = np.zeros((len(found), members, width), dtype=np.float32)
    limits = {name: np.zeros((len(found), members), np.float32) for name in ("intercept", "low_bound", "high_bound")}
    weights = np.zeros((len(found), members), dtype=np.float32)
    for row, each in enumerate(found):
        if "intercept" in each:
            having = each["intercept"].shape[1]
            coefficients[row, :having] = each["coefficients"].T
            weights[row, :having] = each["weights"][-having:, 0]
            for name, table in limits.items():
                table[row, :having] = each[name][0]
    design, anchor = design_columns(graph, contract, contract.transform, "linear")
    wide = graph.add("Unsqueeze", [design, graph.constant("members_axis", [1], np.int64)], "design_wide")
    product = graph.add("Mul", [wide, _gathered(graph, "coefficients", coefficients)], "products")
    summed = graph.add("ReduceSum", [product, graph.constant("columns_axis", [2], np.int64)], "product", keepdims=0)
    intercept, low, high = (_gathered(graph, name, table) for name, table in limits.items())
    return _weighted(graph, bounded_linear(graph, summed, anchor, (intercept, low, high), contract), weights, "linear")


def _gathered(graph: GraphBuilder, name: str, table: npt.NDArray[np.float32]) -> str:
    return graph.add("Gather", [graph.constant(f"{name}_table", table), "segment"], name, axis=0)


def _weighted(graph: GraphBuilder, each: str, weights: npt.NDArray[np.float32], family: str) -> str:
    shares = graph.add("Mul", [each, _gathered(graph, f"{family}_weights", weights)], f"{family}_shares")
    axis = graph.constant(f"{family}_axis", [1], np.int64)
    return graph.add("ReduceSum", [shares, axis], f"{family}_sum", keepdims=1)
