"""Graphs with random parameters, and features for them."""

import numpy as np

from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.builder import GraphSpec, LinearMember, SmoothingMember, build_graph
from models.regressors.tree_arrays import TreeArrays

HORIZON = 3
SMOOTHING = ("ses", "theta")
CONTRACTS = [
    FeatureSpec("forecast", horizon=HORIZON, lags=(1,), windows=(2, 4), numeric=("price",), states=SMOOTHING, **more)
    for more in ({}, {"transform": "log1p", "minimum": 0.0})
]


def random_graph(contract, random, names):
    """A graph of smoothing and linear members by name, with random weights and parameters."""
    members = []
    for name in names:
        if name in SMOOTHING:
            members.append(SmoothingMember(name, random.uniform(0, 3, HORIZON)))
        else:
            coefficients = random.normal(0, 0.3, contract.design.width)
            members.append(LinearMember(name, coefficients, float(random.normal()), -50.0, 400.0))
    weights = random.uniform(0.1, 1, len(members))
    half = np.sort(random.uniform(0, 20, HORIZON if contract.task == "forecast" else 1))
    return build_graph(
        GraphSpec(contract, tuple(members), weights / weights.sum(), half, {"myriad.segment": str(names)})
    )


def random_features(contract, random, rows):
    """Features [rows, k]; steps may lie past the horizon."""
    values = random.uniform(0, 100, (rows, len(contract.names)))
    if contract.task == "forecast":
        values[:, 0] = random.integers(1, HORIZON + 3, rows)
    return values.astype(np.float32)


def leaf(value):
    """A tree that predicts one value."""
    return TreeArrays([0], [0], [0], np.zeros(1), ["LEAF"], [0], [0], [0], [0], [0], np.array([value]))
