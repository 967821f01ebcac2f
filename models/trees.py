"""Gradient-boosted trees and other scikit-learn regressors, one segment at a time."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from models.errors import FleetError
from models.fleet import Candidate, Fleet
from models.panel import FloatArray

__all__ = ["Regressor", "TreeArrays", "make_regressor", "tree_arrays"]

FloatArray32 = npt.NDArray[np.float32]

LIGHTGBM = {
    "n_estimators": 100,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 10,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.8,
    "n_jobs": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
}


class Regressor(Protocol):
    """The part of scikit-learn's interface that a per-segment candidate needs."""

    def fit(self, X: FloatArray32, y: FloatArray) -> "Regressor": ...

    def predict(self, X: FloatArray32) -> FloatArray: ...


def make_regressor(candidate: Candidate, fleet: Fleet) -> Callable[[], Regressor]:
    """A maker of fresh regressors for a candidate.

    Raises FleetError if its import path does not lead to a class, or its parameters are refused.
    """
    if candidate.estimator is None:
        objective = "l1" if fleet.backtest.metric in ("mae", "wape") and fleet.task == "regression" else "l2"
        return _maker("lightgbm.LGBMRegressor", candidate, {**LIGHTGBM, "objective": objective, "seed": fleet.seed})
    return _maker(candidate.estimator, candidate, {})


def _maker(path: str, candidate: Candidate, defaults: Mapping[str, object]) -> Callable[[], Regressor]:
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
        arguments = {**defaults, **candidate.params}
        kind(**arguments)
    except (ImportError, AttributeError) as exc:
        raise FleetError(f"candidates: '{candidate.name}': cannot import {path}: {exc}") from exc
    except TypeError as exc:
        raise FleetError(f"candidates: '{candidate.name}': {path} refuses its params: {exc}") from exc
    return lambda: cast("Regressor", kind(**arguments))


@dataclass(frozen=True)
class TreeArrays:
    """Nodes of a tree ensemble in the flat form of ONNX's TreeEnsembleRegressor; one entry a node, or a leaf."""

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
    """Nodes of a LightGBM booster with numeric splits.

    Thresholds are float64, inputs float32: rounding towards minus infinity keeps the meaning of `x <= threshold`.
    """
    rows: list[tuple[int, int, int, float, str, int, int, int]] = []
    leaves: list[tuple[int, int, float]] = []
    for tree, info in enumerate(booster.dump_model()["tree_info"]):
        _flatten(tree, info["tree_structure"], rows, leaves)
    columns = list(zip(*rows, strict=True))
    exact = np.array(columns[3], dtype=np.float64)
    rounded = exact.astype(np.float32)
    rounded = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    weights = np.array([weight for _, _, weight in leaves], dtype=np.float32)
    return TreeArrays(
        *(list(column) for column in columns[:3]),
        rounded,
        *(list(column) for column in columns[4:]),
        [tree for tree, _, _ in leaves],
        [node for _, node, _ in leaves],
        weights,
    )


def _flatten(tree: int, root: Mapping[str, Any], rows: list[Any], leaves: list[Any]) -> None:
    """Depth-first numbering without recursion: trees can be deep."""
    pending: list[tuple[Mapping[str, Any], int]] = [(root, 0)]
    next_node = 1
    while pending:
        node, number = pending.pop()
        if "leaf_value" in node and "split_feature" not in node:
            rows.append((tree, number, 0, 0.0, "LEAF", 0, 0, 0))
            leaves.append((tree, number, node["leaf_value"]))
            continue
        left, right = next_node, next_node + 1
        next_node += 2
        missing = int(bool(node["default_left"])) if node["missing_type"] == "NaN" else 0
        rows.append((tree, number, node["split_feature"], node["threshold"], "BRANCH_LEQ", left, right, missing))
        pending += [(node["right_child"], right), (node["left_child"], left)]
