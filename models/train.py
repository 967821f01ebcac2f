"""Make the models of many segments from their backtests: choose or combine, export, check.

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

from models.backtest import Backtest
from models.candidates import COMBINATION
from models.combine import COMBINED, choose, combination_weights
from models.errors import ExportError
from models.export import Member, Model, build_graph, run_graph
from models.features import Contract
from models.fleet import Fleet
from models.panel import FloatArray, IntArray

__all__ = ["Rank", "Refit", "SegmentParameters", "TrainedSegment", "assemble", "competing", "untrained"]

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
class Refit:
    """Candidates fitted on all rows.

    predictions [S, H, M] at `features` [S, H, k]; half_width(s, winner) gives the interval [H]; failure(s, m) says what
    a candidate raised, if it did.
    """

    features: FloatArray
    predictions: FloatArray
    member: Callable[[int, int], Member]
    parameters: Callable[[int, int], SegmentParameters]
    half_width: Callable[[int, int], FloatArray]
    failure: Callable[[int, int], str] = lambda s, m: ""


def competing(fleet: Fleet, winner: str) -> Fleet:
    """The fleet with the candidates that a training needs: all of them unless one is to be refitted."""
    if winner in ("", COMBINATION):
        return fleet
    return fleet.model_copy(update={"candidates": [each for each in fleet.candidates if each.name == winner]})


def assemble(
    segments: Sequence[str], tested: Backtest, refit: Refit, fleet: Fleet, contract: Contract, winner: str = ""
) -> list[TrainedSegment]:
    """Choose each segment's winner and export it; a segment whose every candidate failed says why.

    winner : takes it without a choice, where its model can be exported.
    """
    usable = np.asarray(np.isfinite(refit.predictions).all(axis=1))[:, None, :]
    errors = np.where(usable, tested.errors, np.nan)
    allowed = fleet.combine and len(tested.names) > 1
    combined = tested.combined if allowed else np.full_like(tested.combined, np.nan)
    weights = combination_weights(np.where(usable, tested.absolute, np.nan))
    means = np.concatenate([_mean(errors), _mean(combined[..., None])], axis=1)
    if winner:
        winners = np.full(len(segments), (*tested.names, COMBINATION).index(winner))
    else:
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
        reason = self._told(s)
        for choice in _preference(winner, self.means[s]):
            try:
                return self._exported(s, segment, choice)
            except ExportError as exc:
                reason = f"{self._names[choice]} cannot be exported: {exc}"
        ranks = _ranks(-1, self.means[s], np.zeros(len(self.tested.names)), self._names)
        return replace(self._blank(s, segment), ranks=ranks, reason=reason)

    def _told(self, s: int) -> str:
        """Why no candidate has a usable forecast, with what those that raised said."""
        said = [(name, self.refit.failure(s, m)) for m, name in enumerate(self.tested.names)]
        raised = "; ".join(f"{name}: {text}" for name, text in said if text)
        return "no candidate gave a finite forecast" + (f" ({raised})" if raised else "")

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.tested.names, COMBINATION)

    def _blank(self, s: int, segment: str) -> TrainedSegment:
        """What is known of a segment whatever its model."""
        return replace(
            untrained(segment, ""),
            baseline_error=float(self.tested.baseline[s]),
            weight=float(self.tested.weight[s]),
            scale=float(self.tested.scale[s]),
        )

    def _exported(self, s: int, segment: str, choice: int) -> TrainedSegment:
        """The model of one candidate, or of the combination.

        Raises ExportError if it has no graph, or one that differs from the native predictions.
        """
        names = self.tested.names
        weights = self.weights[s] if choice == len(names) else np.eye(len(names))[choice]
        # A member without weight would only make the graph larger; absent and zero mean the same to whoever stacks.
        used = [int(m) for m in np.flatnonzero(weights > _NO_WEIGHT)]
        parameters = json.dumps({names[m]: dict(self.refit.parameters(s, m)) for m in used}, sort_keys=True)
        exported = self._export(s, segment, choice, used, weights[used] / weights[used].sum(), parameters)
        if not exported.parity_error <= self.fleet.gates.max_parity_error:
            raise ExportError(f"its graph is off by {exported.parity_error:.1e} of the segment's scale")
        return replace(
            self._blank(s, segment),
            candidate=self._names[choice],
            error=float(self.means[s, choice]),
            graph=exported.graph,
            sha256=hashlib.sha256(exported.graph).hexdigest(),
            parameters=parameters,
            parity_error=exported.parity_error,
            latency_ms=exported.latency_ms,
            ranks=_ranks(choice, self.means[s], weights, self._names),
        )

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
