"""Train the models of many segments: backtest every candidate, choose or combine, refit, export, check.

The same records come out for forecast and regression fleets, and for the fallback levels.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.candidates import COMBINATION
from models.combine import COMBINED, choose, combination_weights
from models.export import Member, Model, build_graph, run_graph
from models.features import Contract
from models.fleet import Fleet
from models.panel import FloatArray, IntArray

__all__ = ["Backtest", "Rank", "Refit", "SegmentParameters", "TrainedSegment", "assemble", "combine_folds"]

SegmentParameters: TypeAlias = Mapping[str, float | list[float]]
"""Frozen parameters of one candidate for one segment; JSON-able."""

_NO_WEIGHT = 1e-6
_NAN = float("nan")


@dataclass(frozen=True)
class Rank:
    """One candidate's standing for one segment."""

    candidate: str
    error: float
    weight: float
    selected: bool


@dataclass(frozen=True)
class TrainedSegment:
    """What training made of one segment. graph is empty where it failed; then `reason` says why."""

    segment: str
    candidate: str
    error: float
    baseline_error: float
    weight: float
    scale: float
    graph: bytes
    sha256: str
    parameters: str
    parity_error: float
    latency_ms: float
    ranks: tuple[Rank, ...]
    reason: str = ""

    @property
    def failed(self) -> bool:
        return not self.graph


@dataclass(frozen=True)
class Backtest:
    """Errors of M candidates on F folds.

    errors [S, F, M] in the fleet's metric; absolute [S, F, M] mean absolute errors, which weigh the combination.
    combined [S, F] of the combination, each fold with weights from the other folds.
    baseline [S]; weight [S] of the segment in fleet-wide figures; scale [S] mean absolute target.
    """

    names: tuple[str, ...]
    complexity: IntArray
    errors: FloatArray
    absolute: FloatArray
    combined: FloatArray
    baseline: FloatArray
    weight: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class Refit:
    """Candidates fitted on all rows.

    predictions [S, H, M] at `features` [S, H, k]; half_width(s, winner, weights) gives the interval [H].
    """

    features: FloatArray
    predictions: FloatArray
    member: Callable[[int, int], Member]
    parameters: Callable[[int, int], SegmentParameters]
    half_width: Callable[[int, int], FloatArray]


def combine_folds(errors: FloatArray) -> FloatArray:
    """Weights [S, F, M] of each fold's combination, from the absolute errors [S, F, M] of the other folds.

    With one fold only, equal weights: a fold must not judge itself.
    """
    n_folds = errors.shape[1]
    if n_folds == 1:
        known = (~np.isnan(errors)).astype(float)
        return known / np.maximum(known.sum(axis=2, keepdims=True), 1.0)
    others = [combination_weights(np.delete(errors, fold, axis=1)) for fold in range(n_folds)]
    return np.stack(others, axis=1)


def assemble(
    segments: Sequence[str], tested: Backtest, refit: Refit, fleet: Fleet, contract: Contract
) -> list[TrainedSegment]:
    """Choose each segment's winner and export it; a segment whose every candidate failed says why."""
    usable = np.isfinite(refit.predictions).all(axis=1)
    errors = np.where(usable[:, None, :], tested.errors, np.nan)
    allowed = fleet.combine and len(tested.names) > 1
    combined = tested.combined if allowed else np.full_like(tested.combined, np.nan)
    weights = combination_weights(np.where(usable[:, None, :], tested.absolute, np.nan))
    means = np.concatenate([_mean(errors), _mean(combined[..., None])], axis=1)
    margin, tolerance = fleet.backtest.combination_margin, fleet.backtest.tolerance
    winners = choose(errors, combined, tested.complexity, margin, tolerance)
    winners = np.where(winners == COMBINED, len(tested.names), winners)
    winners = _held_to_baseline(winners, means, tested, fleet)
    return [
        _first_exportable(
            s, segment, _preference(int(winners[s]), means[s]), means[s], weights[s], tested, refit, fleet, contract
        )
        for s, segment in enumerate(segments)
    ]


def _held_to_baseline(winners: IntArray, means: FloatArray, tested: Backtest, fleet: Fleet) -> IntArray:
    """The combination gives way to the best single candidate where the promotion gate would hold it.

    Its backtest is then worse than the naive baseline; naive candidates compete too, so one that passes often exists.
    """
    limit = tested.baseline * (1 + fleet.gates.baseline_tolerance)
    singles = np.where(np.isfinite(means[:, :-1]), means[:, :-1], np.inf)
    best = np.argmin(singles, axis=1)
    gives_way = (winners == len(tested.names)) & (means[:, -1] > limit) & (singles.min(axis=1) <= limit)
    return np.where(gives_way, best, winners)


def _mean(errors: FloatArray) -> FloatArray:
    """Mean over the folds [S, F, M] -> [S, M]; NaN where a candidate missed a fold that another one had."""
    held = ~np.isnan(errors).all(axis=2, keepdims=True)
    total = np.where(held, errors, 0.0).sum(axis=1)
    folds = held.sum(axis=1)
    means: FloatArray = np.where(folds > 0, total / np.maximum(folds, 1), np.nan)
    return means


def _preference(winner: int, errors: FloatArray) -> list[int]:
    """The winner, then the others by error: what is tried until one passes the parity check. errors : [M + 1]."""
    ranked = [int(m) for m in np.argsort(errors) if np.isfinite(errors[m])]
    return [winner, *(m for m in ranked if m != winner)] if winner in ranked else ranked


def _first_exportable(
    s: int,
    segment: str,
    order: Sequence[int],
    errors: FloatArray,
    combination: FloatArray,
    tested: Backtest,
    refit: Refit,
    fleet: Fleet,
    contract: Contract,
) -> TrainedSegment:
    names = (*tested.names, COMBINATION)
    baseline, weight, scale = float(tested.baseline[s]), float(tested.weight[s]), float(tested.scale[s])
    reason = "no candidate gave a finite forecast"
    for winner in order:
        weights = combination if names[winner] == COMBINATION else np.eye(len(tested.names))[winner]
        used = [int(m) for m in np.flatnonzero(weights > _NO_WEIGHT)]
        # A member without weight would only make the graph larger; absent and zero mean the same to whoever stacks.
        members = tuple(refit.member(s, m) for m in used)
        model = Model(contract, members, weights[used] / weights[used].sum(), refit.half_width(s, winner))
        parameters = {tested.names[m]: dict(refit.parameters(s, m)) for m in used}
        native = refit.predictions[s][:, used] @ model.weights
        exported = _export(model, segment, fleet, parameters, refit.features[s], native, scale)
        if exported.parity_error > fleet.gates.max_parity_error:
            reason = f"the ONNX graph of {names[winner]} is off by {exported.parity_error:.1e} of the segment's scale"
            continue
        return TrainedSegment(
            segment=segment,
            candidate=names[winner],
            error=float(errors[winner]),
            baseline_error=baseline,
            weight=weight,
            scale=scale,
            graph=exported.graph,
            sha256=hashlib.sha256(exported.graph).hexdigest(),
            parameters=json.dumps(parameters, sort_keys=True),
            parity_error=exported.parity_error,
            latency_ms=exported.latency_ms,
            ranks=_ranks(winner, errors, weights, names),
        )
    ranks = _ranks(-1, errors, np.zeros(len(tested.names)), names)
    return TrainedSegment(segment, "", _NAN, baseline, weight, scale, b"", "", "{}", _NAN, _NAN, ranks, reason)


@dataclass(frozen=True)
class _Exported:
    graph: bytes
    parity_error: float
    latency_ms: float


def _export(
    model: Model,
    segment: str,
    fleet: Fleet,
    parameters: Mapping[str, SegmentParameters],
    features: FloatArray,
    native: FloatArray,
    scale: float,
) -> _Exported:
    """Build the graph and compare it with the native predictions at the same features."""
    notes = {
        "myriad.fleet": fleet.name,
        "myriad.segment": segment,
        "myriad.contract": model.contract.to_json(),
        "myriad.parameters": json.dumps(parameters, sort_keys=True),
    }
    graph = build_graph(Model(model.contract, model.members, model.weights, model.half_width, notes))
    inputs: npt.NDArray[np.float32] = features.astype(np.float32)
    began = time.perf_counter()
    outputs = run_graph(graph, inputs)
    latency_ms = (time.perf_counter() - began) * 1000
    minimum = model.contract.minimum
    expected = native if minimum is None else np.maximum(native, minimum)
    difference = np.abs(outputs.prediction.astype(np.float64) - expected)
    worst = float(np.max(difference)) / (scale if scale > 0 else 1.0)
    return _Exported(graph, worst if np.isfinite(worst) else float("inf"), latency_ms)


def _ranks(winner: int, errors: FloatArray, weights: FloatArray, names: Sequence[str]) -> tuple[Rank, ...]:
    """Standing of every candidate and of the combination, where it competes; errors : [M + 1]."""
    shares = [*weights.tolist(), 1.0]
    ranks = [Rank(name, float(errors[m]), shares[m], m == winner) for m, name in enumerate(names)]
    return tuple(ranks if np.isfinite(errors[-1]) else ranks[:-1])
