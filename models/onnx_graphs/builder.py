"""Build models as ONNX graphs, directly; every graph has the same signature.

Input `features` float32 [n, k] (names in the metadata); outputs `prediction`, `lower`, `upper` float32 [n, 1] in the
target's own unit. Smoothing candidates read states, linear ones the design columns, trees the untransformed design;
their outputs are weighted, kept above the minimum, and widened by the interval's half width at the row's step.

A graph without trees is a graph template, which all models of a contract with the same families share, and the
initializers of one model, by names that `models/onnx_graphs/batched.py` reads again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper

from domain.arrays import FloatArray
from models.features.feature_spec import STATES, FeatureSpec
from models.regressors.tree_arrays import TreeArrays

__all__ = [
    "ML_OPSET",
    "OPSET",
    "GraphBuilder",
    "GraphMember",
    "GraphSpec",
    "LinearMember",
    "SmoothingMember",
    "TreesMember",
    "build_graph",
    "graph_template",
    "tensor",
]

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


@dataclass(frozen=True)
class SmoothingMember:
    """A smoothing candidate: (level + growth[step] * trend) * multiplier + addend. growth [H]."""

    name: str
    growth: FloatArray


@dataclass(frozen=True)
class LinearMember:
    """A linear candidate on the design columns: coefficients [d], bounds of its prediction in the target's unit."""

    name: str
    coefficients: FloatArray
    intercept: float
    low: float
    high: float


@dataclass(frozen=True)
class TreesMember:
    """A tree candidate: nodes of a LightGBM ensemble, or the ONNX model of a scikit-learn regressor."""

    name: str
    nodes: TreeArrays | None = None
    converted: bytes = b""


GraphMember = SmoothingMember | LinearMember | TreesMember


@dataclass(frozen=True)
class GraphSpec:
    """The whole model of one segment: members with weights [M], interval half widths [H], and notes on its origin."""

    contract: FeatureSpec
    members: tuple[GraphMember, ...]
    weights: FloatArray
    half_width: FloatArray
    notes: Mapping[str, str] = field(default_factory=dict)


class GraphBuilder:
    """Collect nodes and initializers; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.domains: dict[str, int] = {"": OPSET}

    def constant(self, name: str, value: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        self.constants[name] = tensor(name, np.asarray(value, dtype=kind))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def columns(self, indices: Sequence[int], output: str) -> str:
        return self.add("Gather", ["features", self.constant(f"{output}_at", indices, np.int64)], output, axis=1)

    def model(self, contract: FeatureSpec, *further: onnx.ValueInfoProto) -> onnx.ModelProto:
        """The collected nodes as a model of the common signature. further : inputs besides `features`."""
        features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(contract.names)])
        names = ("prediction", "lower", "upper")
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in names]
        constants = list(self.constants.values())
        body = helper.make_graph(self.nodes, "myriad", [features, *further], outputs, constants)
        imports = [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        proto = helper.make_model(body, opset_imports=imports, ir_version=IR_VERSION, producer_name="myriad")
        proto.metadata_props.add(key="myriad.features", value=json.dumps(contract.names, ensure_ascii=False))
        return proto


def build_graph(model: GraphSpec) -> bytes:
    """Serialise a model as an ONNX graph."""
    smoothing = [member for member in model.members if isinstance(member, SmoothingMember)]
    linear = [member for member in model.members if isinstance(member, LinearMember)]
    trees = tuple(member for member in model.members if isinstance(member, TreesMember))
    proto = onnx.ModelProto()
    if trees:
        proto.CopyFrom(_template(model.contract, bool(smoothing), bool(linear), trees))
    else:
        proto.CopyFrom(graph_template(model.contract, bool(smoothing), bool(linear)))
    order: list[GraphMember] = [*smoothing, *linear, *trees]
    weights = {member.name: weight for member, weight in zip(model.members, model.weights, strict=True)}
    initializers = _smoothing_initializers(smoothing, model.contract) if smoothing else {}
    initializers |= _linear_initializers(linear) if linear else {}
    initializers["weights"] = np.array([[weights[member.name]] for member in order])
    initializers["half_width"] = np.asarray(model.half_width).reshape(-1, 1)
    for name, values in initializers.items():
        kind = np.int64 if name.endswith("_at") else np.float32
        proto.graph.initializer.append(tensor(name, values.astype(kind)))
    for key, text in model.notes.items():
        proto.metadata_props.add(key=key, value=text)
    return bytes(proto.SerializeToString())


def tensor(name: str, values: npt.NDArray[Any]) -> onnx.TensorProto:
    """An initializer, float32 or int64."""
    kind = TensorProto.INT64 if values.dtype == np.int64 else TensorProto.FLOAT
    content = np.ascontiguousarray(values).tobytes()
    return TensorProto(name=name, data_type=kind, dims=values.shape, raw_data=content)


def graph_template(contract: FeatureSpec, smoothing: bool, linear: bool) -> onnx.ModelProto:
    """All but the initializers of a model: what models of a contract with these families share. Do not change it."""
    return _graph_template(contract.to_json(), smoothing, linear)


@lru_cache(maxsize=64)
def _graph_template(contract: str, smoothing: bool, linear: bool) -> onnx.ModelProto:
    return _template(FeatureSpec.from_json(contract), smoothing, linear, ())


def _template(contract: FeatureSpec, smoothing: bool, linear: bool, trees: Sequence[TreesMember]) -> onnx.ModelProto:
    graph = GraphBuilder()
    step = step_index(graph, contract)
    outputs = []
    if smoothing:
        outputs.append(_smoothing(graph, step))
    if linear:
        outputs.append(_linear(graph, contract))
    outputs += [_trees(graph, member, contract, number) for number, member in enumerate(trees)]
    member_outputs = outputs[0] if len(outputs) == 1 else graph.add("Concat", outputs, "each", axis=1)
    combined = graph.add("MatMul", [member_outputs, "weights"], "combined")
    width = graph.add("Gather", ["half_width", step], "width", axis=0) if step else "half_width"
    bounded_outputs(graph, combined, width, contract)
    return graph.model(contract)


def _smoothing_initializers(members: Sequence[SmoothingMember], contract: FeatureSpec) -> dict[str, npt.NDArray[Any]]:
    at = {f"{s}_at": np.array([contract.column(f"{member.name}.{s}") for member in members]) for s in STATES}
    return {**at, "growth": np.stack([member.growth for member in members], axis=1)}


def _linear_initializers(members: Sequence[LinearMember]) -> dict[str, npt.NDArray[Any]]:
    return {
        "coefficients": np.stack([member.coefficients for member in members], axis=1),
        "intercept": np.array([[member.intercept for member in members]]),
        "low_bound": np.array([[member.low for member in members]]),
        "high_bound": np.array([[member.high for member in members]]),
    }


def step_index(graph: GraphBuilder, contract: FeatureSpec) -> str:
    """Row of the per-step tables for each row of features; steps past the horizon use its last row."""
    if not contract.task_type.periodic:
        return ""
    column = graph.add(
        "Gather", ["features", graph.constant("step_at", contract.column("step"), np.int64)], "step", axis=1
    )
    last = graph.constant("last_step", contract.horizon)
    clipped = graph.add("Clip", [column, graph.constant("first_step", 1.0), last], "step_clipped")
    whole = graph.add("Cast", [clipped], "step_whole", to=TensorProto.INT64)
    return graph.add("Sub", [whole, graph.constant("one", 1, np.int64)], "step_index")


def _smoothing(graph: GraphBuilder, step: str) -> str:
    level, trend, multiplier, addend = (graph.add("Gather", ["features", f"{s}_at"], s, axis=1) for s in STATES)
    growth = graph.add("Gather", ["growth", step], "growth_at_step", axis=0)
    trended = graph.add("Add", [level, graph.add("Mul", [growth, trend], "rise")], "trended")
    seasonal = graph.add("Mul", [trended, multiplier], "seasonal")
    return graph.add("Add", [seasonal, addend], "smoothing")


def _linear(graph: GraphBuilder, contract: FeatureSpec) -> str:
    design, anchor = design_columns(graph, contract, contract.transform, "linear")
    product = graph.add("MatMul", [design, "coefficients"], "product")
    return bounded_linear(graph, product, anchor, ("intercept", "low_bound", "high_bound"), contract)


def bounded_linear(
    graph: GraphBuilder, product: str, anchor: str, names: tuple[str, str, str], contract: FeatureSpec
) -> str:
    """Linear predictions in the target's unit. names : of intercept, lower and upper bound."""
    intercept, low, high = names
    value = graph.add("Add", [product, intercept], "linear_scale")
    if anchor:
        value = graph.add("Add", [value, anchor], "linear_anchored")
    value = _from_scale(graph, value, contract.transform, "linear_unit")
    return graph.add("Min", [graph.add("Max", [value, low], "above"), high], "linear")


def _trees(graph: GraphBuilder, member: TreesMember, contract: FeatureSpec, number: int) -> str:
    prefix = f"trees{number}"
    design, anchor = design_columns(graph, contract, "none", prefix)
    if member.nodes is not None:
        value = _ensemble(graph, member.nodes, design, prefix)
    else:
        value = _inline(graph, member.converted, design, prefix)
    if anchor:
        if contract.transform != "none":
            anchor = _to_scale(graph, anchor, contract.transform, f"{prefix}_anchor_scale")
        value = graph.add("Add", [value, anchor], f"{prefix}_anchored")
    return _from_scale(graph, value, contract.transform, f"{prefix}_unit")


def _ensemble(graph: GraphBuilder, nodes: TreeArrays, design: str, prefix: str) -> str:
    graph.domains["ai.onnx.ml"] = ML_OPSET
    attributes = {
        "n_targets": 1,
        "nodes_treeids": nodes.tree,
        "nodes_nodeids": nodes.node,
        "nodes_featureids": nodes.feature,
        "nodes_values": nodes.threshold.tolist(),
        "nodes_modes": nodes.mode,
        "nodes_truenodeids": nodes.true_child,
        "nodes_falsenodeids": nodes.false_child,
        "nodes_missing_value_tracks_true": nodes.missing_true,
        "target_treeids": nodes.leaf_tree,
        "target_nodeids": nodes.leaf_node,
        "target_ids": [0] * len(nodes.leaf_node),
        "target_weights": nodes.leaf_weight.tolist(),
    }
    return graph.add("TreeEnsembleRegressor", [design], f"{prefix}_raw", domain="ai.onnx.ml", **attributes)


def _inline(graph: GraphBuilder, converted: bytes, design: str, prefix: str) -> str:
    """Copy the nodes of a converted regressor, whose input is the design, into the graph."""
    inner = compose.add_prefix(onnx.load_model_from_string(converted), f"{prefix}_")
    graph.add("Identity", [design], inner.graph.input[0].name)
    graph.constants |= {tensor.name: tensor for tensor in inner.graph.initializer}
    graph.nodes += inner.graph.node
    for opset in inner.opset_import:
        graph.domains[opset.domain] = max(opset.version, graph.domains.get(opset.domain, 0))
    shape = graph.constant(f"{prefix}_shape", [-1, 1], np.int64)
    return graph.add("Reshape", [inner.graph.output[0].name, shape], f"{prefix}_raw")


def design_columns(graph: GraphBuilder, contract: FeatureSpec, transform: str, prefix: str) -> tuple[str, str]:
    design = contract.design
    others = graph.columns(design.others, f"{prefix}_others")
    if design.anchor is None:
        return others, ""
    anchor = _to_scale(graph, graph.columns([design.anchor], f"{prefix}_anchor"), transform, f"{prefix}_anchor_t")
    values = _to_scale(graph, graph.columns(design.values, f"{prefix}_values"), transform, f"{prefix}_values_t")
    relative = graph.add("Sub", [values, anchor], f"{prefix}_relative")
    return graph.add("Concat", [relative, others], f"{prefix}_design", axis=1), anchor


def _to_scale(graph: GraphBuilder, value: str, transform: str, output: str) -> str:
    if transform == "none":
        return value
    positive = graph.add("Max", [value, graph.constant("zero", 0.0)], f"{output}_positive")
    return graph.add("Log", [graph.add("Add", [positive, graph.constant("unit", 1.0)], f"{output}_one")], output)


def _from_scale(graph: GraphBuilder, value: str, transform: str, output: str) -> str:
    if transform == "none":
        return value
    capped = graph.add("Min", [value, graph.constant("cap", 80.0)], f"{output}_capped")
    return graph.add("Sub", [graph.add("Exp", [capped], f"{output}_exp"), graph.constant("unit", 1.0)], output)


def bounded_outputs(graph: GraphBuilder, combined: str, width: str, contract: FeatureSpec) -> None:
    """The three outputs of every graph."""
    _bounded(graph, combined, "prediction", contract)
    _bounded(graph, graph.add("Sub", ["prediction", width], "low"), "lower", contract)
    _bounded(graph, graph.add("Add", ["prediction", width], "high"), "upper", contract)


def _bounded(graph: GraphBuilder, value: str, output: str, contract: FeatureSpec) -> str:
    if contract.minimum is None or contract.centred:
        return graph.add("Identity", [value], output)
    return graph.add("Max", [value, graph.constant("minimum", contract.minimum)], output)
