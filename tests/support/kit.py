"""Small series, contracts and graphs that several tests of the numerical code share."""

import json

import numpy as np
import onnx
import onnxruntime as ort

from domain.calendar.periods_ahead import find_period_pattern
from domain.config.time_section import Time
from models.features.panel import Panel
from models.features.series import Series


def panel_of(*series, season=1, ends=100):
    """Right-aligned panel of lists of values."""
    width = max((len(one) for one in series), default=0)
    values = np.full((len(series), width), np.nan)
    for row, one in enumerate(series):
        values[row, width - len(one) :] = one
    lengths = np.array([len(one) for one in series], dtype=np.int64)
    return Panel(values, lengths, np.broadcast_to(np.asarray(ends, dtype=np.int64), lengths.shape).copy(), season)


def pattern_of(last):
    """Daily rows, on every weekday."""
    each = np.arange(len(last))
    time = Time(column="day", frequency="D", gaps="zero")
    return find_period_pattern(last, each, np.ones(len(last), np.int64), time, None)


def series_of(*values, season=1, ends=100, covariates=None, names=None):
    """Series of lists of values; covariates : [S, T, K]."""
    panel = panel_of(*values, season=season, ends=ends)
    shape = (*panel.values.shape, 0)
    names = names or [f"s={number}" for number in range(len(values))]
    last = np.full(len(values), np.datetime64("2024-01-01", "us"))
    given = np.zeros(shape) if covariates is None else np.asarray(covariates, dtype=float)
    return Series(tuple(names), panel, given, last, panel.lengths, pattern_of(last))


def outputs_of(graph, features):
    """prediction, lower and upper [n, 1] of a graph, and its session."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(["prediction", "lower", "upper"], {"features": np.asarray(features, dtype=np.float32)})


def metadata_of(graph):
    return {item.key: item.value for item in onnx.load_model_from_string(graph).metadata_props}


def names_of(graph):
    return tuple(json.loads(metadata_of(graph)["myriad.features"]))
