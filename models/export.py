"""Models as ONNX graphs, built directly; every graph has the same face.

Input `features` float32 [n, k] (names in the metadata); outputs `prediction`, `lower`, `upper` float32 [n, 1] in the
target's own unit. Smoothing candidates read states, linear ones the design columns, trees the untransformed design;
their outputs are weighted, kept above the minimum, and widened by the interval's half width at the row's step.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, compose, helper, numpy_helper

from models.errors import ExportError
from models.features import STATES, Contract
from models.panel import FloatArray
from models.trees import TreeArrays

__all__ = [
    "ML_OPSET",
    "OPSET",
    "Linear",
    "Member",
    "Model",
    "Predictions",
    "Smoothing",
    "Trees",
    "build_graph",
    "first_line",
    "run_graph",
]

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8


@dataclass(frozen=True)
class Smoothing:
    """A smoothing candidate: (level + growth[step] * trend) * multiplier + addend. growth [H]."""

    name: str
    growth: FloatArray


@dataclass(frozen=True)
class Linear:
    """A linear candidate on the design columns: coefficients [d], bounds of its prediction in the target's unit."""

    name: str
    coefficients: FloatArray
    intercept: float
    low: float
    high: float


@dataclass(frozen=True)
class Trees:
    """A tree candidate: nodes of a LightGBM ensemble, or the ONNX model of a scikit-learn regressor."""

    name: str
    nodes: TreeArrays | None = None
    converted: bytes = b""


Member = Smoothing | Linear | Trees


@dataclass(frozen=True)
class Model:
    """All of one segment's model: members with weights [M], interval half widths [H], and what made it."""

    contract: Contract
    members: tuple[Member, ...]
    weights: FloatArray
    half_width: FloatArray
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """Outputs of a graph, each float32 [n]."""

    prediction: npt.NDArray[np.float32]
    lower: npt.NDArray[np.float32]
    upper: npt.NDArray[np.float32]


class _Graph:
    """Collects nodes and initialisers; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.domains: dict[str, int] = {"": OPSET}

    def constant(self, name: str, value: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype=kind), name)
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def columns(self, indices: Sequence[int], output: str) -> str:
        return self.add("Gather", ["features", self.constant(f"{output}_at", indices, np.int64)], output, axis=1)


def build_graph(model: Model) -> bytes:
    """The model as a serialised ONNX graph."""
    graph, contract = _Graph(), model.contract
    step = _step_index(graph, contract)
    smoothing = [member for member in model.members if isinstance(member, Smoothing)]
    linear = [member for member in model.members if isinstance(member, Linear)]
    trees = [member for member in model.members if isinstance(member, Trees)]
    outputs = []
    if smoothing:
        outputs.append(_smoothing(graph, smoothing, contract, step))
    if linear:
        outputs.append(_linear(graph, linear, contract))
    outputs += [_trees(graph, member, contract, number) for number, member in enumerate(trees)]
    each = outputs[0] if len(outputs) == 1 else graph.add("Concat", outputs, "each", axis=1)
    order: list[Member] = [*smoothing, *linear, *trees]
    weights = {member.name: weight for member, weight in zip(model.members, model.weights, strict=True)}
    column = graph.constant("weights", [[weights[member.name]] for member in order])
    combined = graph.add("MatMul", [each, column], "combined")
    half = graph.constant("half_width", np.asarray(model.half_width).reshape(-1, 1))
    width = graph.add("Gather", [half, step], "width", axis=0) if step else half
    _bounded(graph, combined, "prediction", contract)
    _bounded(graph, graph.add("Sub", ["prediction", width], "low"), "lower", contract)
    _bounded(graph, graph.add("Add", ["prediction", width], "high"), "upper", contract)
    return _serialise(graph, model)


def _step_index(graph: _Graph, contract: Contract) -> str:
    """Row of the per-step tables for each row of features; steps past the horizon use its last row."""
    if contract.task != "forecast":
        return ""
    column = graph.add(
        "Gather", ["features", graph.constant("step_at", contract.column("step"), np.int64)], "step", axis=1
    )
    last = graph.constant("last_step", contract.horizon)
    clipped = graph.add("Clip", [column, graph.constant("first_step", 1.0), last], "step_clipped")
    whole = graph.add("Cast", [clipped], "step_whole", to=TensorProto.INT64)
    return graph.add("Sub", [whole, graph.constant("one", 1, np.int64)], "step_index")


def _smoothing(graph: _Graph, members: Sequence[Smoothing], contract: Contract, step: str) -> str:
    level, trend, multiplier, addend = (
        graph.columns([contract.column(f"{member.name}.{state}") for member in members], state) for state in STATES
    )
    table = graph.constant("growth", np.stack([member.growth for member in members], axis=1))
    growth = graph.add("Gather", [table, step], "growth_at_step", axis=0)
    trended = graph.add("Add", [level, graph.add("Mul", [growth, trend], "rise")], "trended")
    seasonal = graph.add("Mul", [trended, multiplier], "seasonal")
    return graph.add("Add", [seasonal, addend], "smoothing")


def _linear(graph: _Graph, members: Sequence[Linear], contract: Contract) -> str:
    design, anchor = _design(graph, contract, contract.transform, "linear")
    coefficients = graph.constant("coefficients", np.stack([member.coefficients for member in members], axis=1))
    intercept = graph.constant("intercept", [[member.intercept for member in members]])
    value = graph.add("Add", [graph.add("MatMul", [design, coefficients], "product"), intercept], "linear_scale")
    if anchor:
        value = graph.add("Add", [value, anchor], "linear_anchored")
    value = _from_scale(graph, value, contract.transform, "linear_unit")
    low = graph.constant("low_bound", [[member.low for member in members]])
    high = graph.constant("high_bound", [[member.high for member in members]])
    return graph.add("Min", [graph.add("Max", [value, low], "above"), high], "linear")


def _trees(graph: _Graph, member: Trees, contract: Contract, number: int) -> str:
    prefix = f"trees{number}"
    design, anchor = _design(graph, contract, "none", prefix)
    if member.nodes is not None:
        value = _ensemble(graph, member.nodes, design, prefix)
    else:
        value = _inline(graph, member.converted, design, prefix)
    if anchor:
        if contract.transform != "none":
            anchor = _to_scale(graph, anchor, contract.transform, f"{prefix}_anchor_scale")
        value = graph.add("Add", [value, anchor], f"{prefix}_anchored")
    return _from_scale(graph, value, contract.transform, f"{prefix}_unit")


def _ensemble(graph: _Graph, nodes: TreeArrays, design: str, prefix: str) -> str:
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


def _inline(graph: _Graph, converted: bytes, design: str, prefix: str) -> str:
    """Copy the nodes of a converted regressor, whose input is the design, into the graph."""
    inner = compose.add_prefix(onnx.load_model_from_string(converted), f"{prefix}_")
    graph.add("Identity", [design], inner.graph.input[0].name)
    graph.constants |= {tensor.name: tensor for tensor in inner.graph.initializer}
    graph.nodes += inner.graph.node
    for opset in inner.opset_import:
        graph.domains[opset.domain] = max(opset.version, graph.domains.get(opset.domain, 0))
    shape = graph.constant(f"{prefix}_shape", [-1, 1], np.int64)
    return graph.add("Reshape", [inner.graph.output[0].name, shape], f"{prefix}_raw")


def _design(graph: _Graph, contract: Contract, transform: str, prefix: str) -> tuple[str, str]:
    design = contract.design
    others = graph.columns(design.others, f"{prefix}_others")
    if design.anchor is None:
        return others, ""
    anchor = _to_scale(graph, graph.columns([design.anchor], f"{prefix}_anchor"), transform, f"{prefix}_anchor_t")
    values = _to_scale(graph, graph.columns(design.values, f"{prefix}_values"), transform, f"{prefix}_values_t")
    relative = graph.add("Sub", [values, anchor], f"{prefix}_relative")
    return graph.add("Concat", [relative, others], f"{prefix}_design", axis=1), anchor


def _to_scale(graph: _Graph, value: str, transform: str, output: str) -> str:
    if transform == "none":
        return value
    positive = graph.add("Max", [value, graph.constant("zero", 0.0)], f"{output}_positive")
    return graph.add("Log", [graph.add("Add", [positive, graph.constant("unit", 1.0)], f"{output}_one")], output)


def _from_scale(graph: _Graph, value: str, transform: str, output: str) -> str:
    if transform == "none":
        return value
    capped = graph.add("Min", [value, graph.constant("cap", 80.0)], f"{output}_capped")
    return graph.add("Sub", [graph.add("Exp", [capped], f"{output}_exp"), graph.constant("unit", 1.0)], output)


def _bounded(graph: _Graph, value: str, output: str, contract: Contract) -> str:
    if contract.minimum is None:
        return graph.add("Identity", [value], output)
    return graph.add("Max", [value, graph.constant("minimum", contract.minimum)], output)


def _serialise(graph: _Graph, model: Model) -> bytes:
    width = len(model.contract.names)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 1]) for n in ("prediction", "lower", "upper")]
    body = helper.make_graph(graph.nodes, "myriad", inputs, outputs, list(graph.constants.values()))
    imports = [helper.make_opsetid(domain, version) for domain, version in graph.domains.items()]
    proto = helper.make_model(body, opset_imports=imports, ir_version=IR_VERSION, producer_name="myriad")
    names = json.dumps(model.contract.names, ensure_ascii=False)
    helper.set_model_props(proto, {"myriad.features": names, **model.notes})
    return bytes(proto.SerializeToString())


def run_graph(graph: bytes, features: npt.NDArray[np.float32]) -> Predictions:
    """Run a graph once on features [n, k].

    Raises ExportError if ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        prediction, lower, upper = session.run(["prediction", "lower", "upper"], {"features": features})
    except Exception as exc:
        raise ExportError(f"ONNX Runtime refuses the graph: {first_line(exc)}") from exc
    return Predictions(prediction[:, 0], lower[:, 0], upper[:, 0])


def first_line(error: Exception) -> str:
    """What foreign code says first: the rest of its texts is for its own developers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
