"""All feature columns at the end of series, for training and inference alike."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from domain.arrays import Float32Array, FloatArray, IntArray
from models.features.centre import centre_of, centred_features
from models.features.feature_spec import STATES, FeatureSpec, base_features, state_columns
from models.features.panel import Panel, target_phases
from models.features.series import Series
from models.smoothing.base import Parameters
from models.smoothing.methods import smoothing_method

__all__ = ["SegmentParameters", "features_at_end", "forecast_features"]

SegmentParameters: TypeAlias = Mapping[str, float | list[float]]
"""Frozen parameters of one candidate for one segment; JSON-able."""


def features_at_end(series: Series, parameters: Sequence[str], future: FloatArray, spec: FeatureSpec) -> Float32Array:
    """Features [S, H, k] of the H periods after each series.

    Parameters
    ----------
    parameters : frozen parameters of each segment's model, as JSON.
    future : covariates of the periods after the series, [S, H, K].
    """
    parsed: list[dict[str, SegmentParameters]] = [json.loads(text) for text in parameters]
    frozen = {name: [of_segment.get(name, {}) for of_segment in parsed] for name in spec.states}
    covariates = np.concatenate([series.covariates, future], axis=1)
    features = forecast_features(series.panel, np.nan_to_num(covariates), spec, frozen)
    if spec.centred:
        features = centred_features(features, spec, [centre_of(of_segment) for of_segment in parsed])
    return features.astype(np.float32)


def forecast_features(
    panel: Panel, covariates: FloatArray, spec: FeatureSpec, parameters: Mapping[str, Sequence[SegmentParameters]]
) -> FloatArray:
    """All columns of the spec at the panel's last column, [S, H, k].

    Parameters
    ----------
    covariates : [S, T + H, K].
    parameters : of each segment, by smoothing candidate. A segment without them gets zeros, since its graph does not
        read these columns.
    """
    n_segments, width = panel.values.shape
    base = base_features(panel, covariates, spec, np.array([width - 1]))[:, 0]
    phases = target_phases(panel, spec.horizon)
    parts = [base]
    for name in spec.states:
        columns = np.zeros((n_segments, spec.horizon, len(STATES)))
        frozen = parameters.get(name, ())
        having = [s for s, of_segment in enumerate(frozen) if of_segment]
        if having:
            stacked = _stack([frozen[s] for s in having])
            state = smoothing_method(name).states(panel.take(having), stacked)
            index: IntArray = np.array(having)
            columns[index] = state_columns(state.level, state.trend, state.multiplier, state.addend, phases[index])
        parts.append(columns)
    return np.concatenate(parts, axis=-1)


def _stack(parameters: Sequence[SegmentParameters]) -> Parameters:
    """Parameters of several segments as arrays with a first axis S."""
    return {name: np.array([of_segment[name] for of_segment in parameters]) for name in parameters[0]}
