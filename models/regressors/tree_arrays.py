"""The nodes of a tree ensemble in the form that ONNX stores them in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from domain.errors import ExportError

__all__ = ["TreeArrays", "tree_arrays"]

FloatArray32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TreeArrays:
    """Nodes of a tree ensemble in the flat form of ONNX's TreeEnsembleRegressor; one entry per node, or per leaf."""

    tree: list[int]
    node: list[int]
    feature: list[int]
    threshold: FloatArray32
    mode: list[str]
    true_child: list[int]
    false_child: list[int]
    missing_true: list[int]
    leaf_tree: list[int]
    leaf_node: list[int]
    leaf_weight: FloatArray32


def tree_arrays(booster: Any) -> TreeArrays:
    """The nodes of a LightGBM booster with numeric splits.

    Thresholds are float64 and inputs float32: rounding towards minus infinity preserves `x <= threshold`.
    Raises ExportError for a booster with other splits.
    """
    dump = booster.dump_model()
    trees: list[Mapping[str, Any]] = [info["tree_structure"] for info in dump["tree_info"]] or [{"leaf_value": 0.0}]
    nodes = [node for tree, root in enumerate(trees) for node in _flatten(tree, root)]
    exact = np.array([node.threshold for node in nodes], dtype=np.float64)
    rounded = exact.astype(np.float32)
    rounded = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    leaves = [node for node in nodes if node.mode == "LEAF"]
    share = len(trees) if dump.get("average_output") else 1  # A random forest takes the mean of its trees.
    return TreeArrays(
        tree=[node.tree for node in nodes],
        node=[node.number for node in nodes],
        feature=[node.feature for node in nodes],
        threshold=rounded,
        mode=[node.mode for node in nodes],
        true_child=[node.left for node in nodes],
        false_child=[node.right for node in nodes],
        missing_true=[node.missing for node in nodes],
        leaf_tree=[leaf.tree for leaf in leaves],
        leaf_node=[leaf.number for leaf in leaves],
        leaf_weight=np.array([leaf.weight / share for leaf in leaves], dtype=np.float32),
    )


class _Node(NamedTuple):
    """A split `feature <= threshold`, or a leaf; missing : 1 where NaN goes left."""

    tree: int
    number: int
    mode: str = "LEAF"
    feature: int = 0
    threshold: float = 0.0
    left: int = 0
    right: int = 0
    missing: int = 0
    weight: float = 0.0


def _flatten(tree: int, root: Mapping[str, Any]) -> Iterator[_Node]:
    """Number the nodes depth-first, without recursion since trees can be deep.

    Raises ExportError for a split that is not `feature <= threshold`.
    """
    pending: list[tuple[Mapping[str, Any], int]] = [(root, 0)]
    next_node = 1
    while pending:
        node, number = pending.pop()
        if "split_feature" not in node:
            yield _Node(tree, number, weight=node["leaf_value"])
            continue
        kind, threshold = node["missing_type"], node["threshold"]
        if node["decision_type"] != "<=" or kind == "Zero":
            raise ExportError(f"LightGBM: split {node['decision_type']!r} with missing type {kind} has no ONNX form")
        left, right = next_node, next_node + 1
        next_node += 2
        # Without missing values in training, LightGBM takes NaN for 0.
        missing = node["default_left"] if kind == "NaN" else threshold >= 0.0
        yield _Node(tree, number, "BRANCH_LEQ", node["split_feature"], threshold, left, right, int(missing))
        pending += [(node["right_child"], right), (node["left_child"], left)]
