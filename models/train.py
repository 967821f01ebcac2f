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
from models.combine import combination_weights
from models.export import Member, Model, build_graph, run_graph
from models.features import Contract
from models.fleet import Fleet
from models.panel import FloatArray, IntArray
from models.select import choose

__all__ = ["Backtest", "Rank", "Refit", "SegmentParameters", "TrainedSegment", "assemble", "combine_folds"]

SegmentParameters: TypeAlias = Mapping[str, float | list[float]]
"""Frozen parameters of one candidate for one segment; JSON-able."""

_NO_WEIGHT = 1e-6


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

    errors [S, F, M]; combined [S, F] of the combination, with weights from the other folds.
    baseline [S]; weight [S] of the segment in fleet-wide figures; scale [S] mean absolute target.
    """

    names: tuple[str, ...]
    complexity: IntArray
    errors: FloatArray
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
    """Weights [S, F, M] of each fold's combination, from the errors [S, F, M] of the other folds.

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
    mean_errors = _mean(tested.errors)
    combined = _mean(tested.combined[..., None])[:, 0]
    if not fleet.combine or len(tested.names) < 2:
        combined = np.full_like(combined, np.nan)
    usable = np.isfinite(refit.predictions).all(axis=1)
    mean_errors = np.where(usable, mean_errors, np.nan)
    weights = combination_weights(np.where(usable[:, None, :], tested.errors, np.nan))
    backtest = fleet.backtest
    winners = choose(mean_errors, combined, tested.complexity, backtest.tolerance, backtest.combination_margin)
    found = []
    for index, segment in enumerate(segments):
        order = _preference(int(winners[index]), mean_errors[index])
        found.append(_first_exportable(index, segment, order, mean_errors, combined, weights, tested, refit, fleet, contract))
    return found


def _mean(errors: FloatArray) -> FloatArray:
    """Mean over the folds [S, F, M] -> [S, M]; NaN where a candidate missed a fold that another one had."""
    held = ~np.isnan(errors).all(axis=2, keepdims=True)
    total = np.where(held, errors, 0.0).sum(axis=1)
    folds = held.sum(axis=1)
    means: FloatArray = np.where(folds > 0, total / np.maximum(folds, 1), np.nan)
    return means


def _preference(winner: int, errors: FloatArray) -> list[int]:
    """The winner, then the single candidates by error: what is tried until one passes the parity check."""
    if winner < 0:
        return []
    ranked = [int(m) for m in np.argsort(errors) if not np.isnan(errors[m])]
    return [winner, *(m for m in ranked if m != winner)]


def _first_exportable(  # noqa: PLR0913 - the pieces of one decision
    s: int,
    segment: str,
    order: Sequence[int],
    mean_errors: FloatArray,
    combined: FloatArray,
    weights: FloatArray,
    tested: Backtest,
    refit: Refit,
    fleet: Fleet,
    contract: Contract,
) -> TrainedSegment:
    n_candidates = len(tested.names)
    reason = "no candidate gave a finite forecast"
    for winner in order:
        one_hot = np.eye(n_candidates)[winner] if winner < n_candidates else weights[s]
        used = [m for m in range(n_candidates) if _present(m, winner, n_candidates, one_hot)]
        half_width = refit.half_width(s, winner)
        model = Model(contract, tuple(refit.member(s, m) for m in used), one_hot[used], half_width)
        name = COMBINATION if winner == n_candidates else tested.names[winner]
        parameters = {tested.names[m]: dict(refit.parameters(s, m)) for m in used}
        native = np.nan_to_num(refit.predictions[s]) @ one_hot
        exported = _export(model, segment, fleet, parameters, refit.features[s], native, float(tested.scale[s]))
        if exported.parity_error > fleet.gates.max_parity_error:
            reason = f"ONNX graph of {name} is off by {exported.parity_error:.1e} of the segment's scale"
            continue
        ranks = _ranks(s, winner, mean_errors, combined, one_hot, tested.names)
        error = float(combined[s] if winner == n_candidates else mean_errors[s, winner])
        return TrainedSegment(
            segment=segment,
            candidate=name,
            error=error,
            baseline_error=float(tested.baseline[s]),
            weight=float(tested.weight[s]),
            scale=float(tested.scale[s]),
            graph=exported.graph,
            sha256=hashlib.sha256(exported.graph).hexdigest(),
            parameters=json.dumps(parameters, sort_keys=True),
            parity_error=exported.parity_error,
            latency_ms=exported.latency_ms,
            ranks=ranks,
        )
    nan = float("nan")
    ranks = _ranks(s, -1, mean_errors, combined, np.zeros(n_candidates), tested.names)
    scale, weight = float(tested.scale[s]), float(tested.weight[s])
    return TrainedSegment(segment, "", nan, float(tested.baseline[s]), weight, scale, b"", "", "{}", nan, nan, ranks, reason)


def _present(m: int, winner: int, n_candidates: int, weights: FloatArray) -> bool:
    """Whether candidate m belongs into the graph: the winner, or what has weight in the combination.

    A member without weight would only make the graph larger; absent and zero mean the same to whoever stacks.
    """
    return m == winner if winner < n_candidates else bool(weights[m] > _NO_WEIGHT)


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


def _ranks(
    s: int, winner: int, errors: FloatArray, combined: FloatArray, weights: FloatArray, names: Sequence[str]
) -> tuple[Rank, ...]:
    ranks = [Rank(name, float(errors[s, m]), float(weights[m]), m == winner) for m, name in enumerate(names)]
    if not np.isnan(combined[s]):
        ranks.append(Rank(COMBINATION, float(combined[s]), 1.0, winner == len(names)))
    return tuple(ranks)
