"""Train the models of many segments: backtest every candidate, choose or combine, refit, export, check.

The same records come out for forecast and regression fleets, and for the fallback levels.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.candidates import COMBINATION
from models.combine import COMBINED, choose, combination_weights, combine
from models.errors import ExportError
from models.export import Member, Model, build_graph, run_graph
from models.features import Contract
from models.fleet import Fleet
from models.metrics import point_weights, window_errors
from models.panel import FloatArray, IntArray

__all__ = [
    "Backtest",
    "Folds",
    "Rank",
    "Refit",
    "SegmentParameters",
    "TrainedSegment",
    "assemble",
    "combine_folds",
    "judge",
    "untrained",
]

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


@dataclass(frozen=True)
class Folds:
    """What followed each backtest origin, and what was said about it.

    actual [S, F, H], NaN where nothing is known. each [S, F, H, M] by candidate and baseline [S, F, H], NaN where a
    candidate does not apply. size [S] mean absolute target; scale [S] denominator of scaled metrics.
    """

    actual: FloatArray
    each: FloatArray
    baseline: FloatArray
    size: FloatArray
    scale: FloatArray


def judge(names: Sequence[str], complexity: Sequence[int], folds: Folds, fleet: Fleet) -> tuple[Backtest, FloatArray]:
    """Errors of every candidate, and residuals [S, F, H, M + 1] of the candidates and of the combination."""
    actual, scale, metric = folds.actual, folds.scale[:, None], fleet.backtest.metric
    minimum = -np.inf if fleet.target.minimum is None else fleet.target.minimum
    each = np.maximum(folds.each, minimum)
    absolute = np.stack([window_errors(actual, e, "mae", scale) for e in np.moveaxis(each, -1, 0)], axis=-1)
    weights = combine_folds(absolute)
    # Members are combined as they are: a graph, too, keeps only their sum above the minimum. Folds are taken for
    # segments here, since each has weights of its own.
    flat = np.moveaxis(folds.each, -1, 2).reshape(-1, each.shape[-1], each.shape[2])
    combination = combine(flat, weights.reshape(-1, weights.shape[-1])).reshape(actual.shape)
    combination = np.maximum(combination, minimum)
    naive = window_errors(actual, np.maximum(folds.baseline, minimum), metric, scale)
    tested = Backtest(
        names=tuple(names),
        complexity=np.array(complexity),
        errors=np.stack([window_errors(actual, e, metric, scale) for e in np.moveaxis(each, -1, 0)], axis=-1),
        absolute=absolute,
        combined=window_errors(actual, combination, metric, scale),
        baseline=_known_mean(naive),
        weight=point_weights(actual, metric).sum(axis=1),
        scale=folds.size,
    )
    return tested, actual[..., None] - np.concatenate([each, combination[..., None]], axis=-1)


def _known_mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def combine_folds(errors: FloatArray) -> FloatArray:
    """Weights [S, F, M] of each fold's combination, from the absolute errors [S, F, M] of the other folds.

    With one fold only, equal weights: a fold must not judge itself.
    """
    n_folds = errors.shape[1]
    if n_folds == 1:
        known = np.isfinite(errors).astype(float)
        equal: FloatArray = known / np.maximum(known.sum(axis=2, keepdims=True), 1.0)
        return equal
    others = [combination_weights(np.delete(errors, fold, axis=1)) for fold in range(n_folds)]
    return np.stack(others, axis=1)


def assemble(
    segments: Sequence[str], tested: Backtest, refit: Refit, fleet: Fleet, contract: Contract
) -> list[TrainedSegment]:
    """Choose each segment's winner and export it; a segment whose every candidate failed says why."""
    usable = np.asarray(np.isfinite(refit.predictions).all(axis=1))[:, None, :]
    errors = np.where(usable, tested.errors, np.nan)
    allowed = fleet.combine and len(tested.names) > 1
    combined = tested.combined if allowed else np.full_like(tested.combined, np.nan)
    weights = combination_weights(np.where(usable, tested.absolute, np.nan))
    means = np.concatenate([_mean(errors), _mean(combined[..., None])], axis=1)
    margin, tolerance = fleet.backtest.combination_margin, fleet.backtest.tolerance
    winners = choose(errors, combined, tested.complexity, margin, tolerance)
    winners = np.where(winners == COMBINED, len(tested.names), winners)
    winners = _held_to_baseline(winners, means, tested, fleet)
    bench = _Bench(tested, refit, fleet, contract, means, weights)
    return [bench.first_exportable(s, segment, int(winners[s])) for s, segment in enumerate(segments)]


def untrained(segment: str, reason: str) -> TrainedSegment:
    """A segment that no candidate was tried on."""
    return TrainedSegment(segment, "", _NAN, _NAN, _NAN, _NAN, b"", "", "{}", _NAN, _NAN, (), reason)


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


@dataclass(frozen=True)
class _Exported:
    graph: bytes
    parity_error: float
    latency_ms: float


@dataclass(frozen=True)
class _Bench:
    """Everything known of the segments of one batch. means [S, M + 1], weights of the combination [S, M]."""

    tested: Backtest
    refit: Refit
    fleet: Fleet
    contract: Contract
    means: FloatArray
    weights: FloatArray

    def first_exportable(self, s: int, segment: str, winner: int) -> TrainedSegment:
        """The winner's model; where its graph fails or differs from the native predictions, the next best one's."""
        names = (*self.tested.names, COMBINATION)
        errors = self.means[s]
        failed = TrainedSegment(
            segment=segment,
            candidate="",
            error=_NAN,
            baseline_error=float(self.tested.baseline[s]),
            weight=float(self.tested.weight[s]),
            scale=float(self.tested.scale[s]),
            graph=b"",
            sha256="",
            parameters="{}",
            parity_error=_NAN,
            latency_ms=_NAN,
            ranks=_ranks(-1, errors, np.zeros(len(self.tested.names)), names),
            reason="no candidate gave a finite forecast",
        )
        for choice in _preference(winner, errors):
            weights = self.weights[s] if names[choice] == COMBINATION else np.eye(len(self.tested.names))[choice]
            # A member without weight would only make the graph larger; absent and zero mean the same to whoever stacks.
            used = [int(m) for m in np.flatnonzero(weights > _NO_WEIGHT)]
            parameters = json.dumps(
                {self.tested.names[m]: dict(self.refit.parameters(s, m)) for m in used}, sort_keys=True
            )
            try:
                exported = self._export(s, segment, choice, used, weights[used] / weights[used].sum(), parameters)
            except ExportError as exc:
                failed = replace(failed, reason=f"{names[choice]} cannot be exported: {exc}")
                continue
            off = exported.parity_error
            if not off <= self.fleet.gates.max_parity_error:
                reason = f"the ONNX graph of {names[choice]} is off by {off:.1e} of the segment's scale"
                failed = replace(failed, reason=reason)
                continue
            return replace(
                failed,
                candidate=names[choice],
                error=float(errors[choice]),
                graph=exported.graph,
                sha256=hashlib.sha256(exported.graph).hexdigest(),
                parameters=parameters,
                parity_error=exported.parity_error,
                latency_ms=exported.latency_ms,
                ranks=_ranks(choice, errors, weights, names),
                reason="",
            )
        return failed

    def _export(
        self, s: int, segment: str, choice: int, used: Sequence[int], weights: FloatArray, parameters: str
    ) -> _Exported:
        """Build the graph and compare it with the native predictions at the same features."""
        notes = {
            "myriad.fleet": self.fleet.name,
            "myriad.segment": segment,
            "myriad.contract": self.contract.to_json(),
            "myriad.parameters": parameters,
        }
        members = tuple(self.refit.member(s, m) for m in used)
        graph = build_graph(Model(self.contract, members, weights, self.refit.half_width(s, choice), notes))
        inputs: npt.NDArray[np.float32] = self.refit.features[s].astype(np.float32)
        began = time.perf_counter()
        outputs = run_graph(graph, inputs)
        latency_ms = (time.perf_counter() - began) * 1000
        if not np.isfinite(np.stack([outputs.prediction, outputs.lower, outputs.upper])).all():
            raise ExportError("its outputs are not finite in float32")
        native = self.refit.predictions[s][:, list(used)] @ weights
        expected = native if self.contract.minimum is None else np.maximum(native, self.contract.minimum)
        worst = float(np.max(np.abs(outputs.prediction.astype(np.float64) - expected)))
        scale = float(self.tested.scale[s])
        return _Exported(graph, worst / (scale if scale > 0 else 1.0), latency_ms)


def _ranks(winner: int, errors: FloatArray, weights: FloatArray, names: Sequence[str]) -> tuple[Rank, ...]:
    """Standing of every candidate and of the combination, where it competes; errors : [M + 1]."""
    shares = [*weights.tolist(), 1.0]
    ranks = [Rank(name, float(errors[m]), shares[m], m == winner) for m, name in enumerate(names)]
    return tuple(ranks if np.isfinite(errors[-1]) else ranks[:-1])
