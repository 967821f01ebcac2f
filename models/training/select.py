"""Make the models of many segments from their backtests: choose or combine, export, check.

The same records come out for forecast and regression fleets, and for the fallback levels.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
from domain.errors import ExportError
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import SegmentParameters
from models.onnx_graphs.builder import GraphMember, GraphSpec, build_graph
from models.onnx_graphs.runtime import Predictions, run_verified
from models.training.backtest import Backtest
from models.training.ensemble import ENSEMBLE_INDEX, choose, ensemble_weights

__all__ = ["Rank", "Refit", "TrainedSegment", "restrict_candidates", "select_models", "untrained"]

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
    member: Callable[[int, int], GraphMember]
    parameters: Callable[[int, int], SegmentParameters]
    half_width: Callable[[int, int], FloatArray]
    failure: Callable[[int, int], str] = lambda s, m: ""


def restrict_candidates(fleet: Fleet, winner: str) -> Fleet:
    """The fleet with the candidates that a training needs: all of them unless one is to be refitted."""
    if winner in ("", ENSEMBLE):
        return fleet
    return fleet.model_copy(update={"candidates": [each for each in fleet.candidates if each.name == winner]})


def select_models(
    segments: Sequence[str], tested: Backtest, refit: Refit, fleet: Fleet, contract: FeatureSpec, winner: str = ""
) -> list[TrainedSegment]:
    """Choose each segment's winner and export it; a segment whose every candidate failed says why.

    winner : takes it without a choice, where its model can be exported.
    """
    usable = np.asarray(np.isfinite(refit.predictions).all(axis=1))[:, None, :]
    errors = np.where(usable, tested.errors, np.nan)
    allowed = fleet.combine and len(tested.names) > 1
    combined = tested.combined if allowed else np.full_like(tested.combined, np.nan)
    weights = ensemble_weights(np.where(usable, tested.absolute, np.nan))
    means = np.concatenate([_mean(errors), _mean(combined[..., None])], axis=1)
    if winner:
        winners = np.full(len(segments), (*tested.names, ENSEMBLE).index(winner))
    else:
        margin, tolerance = fleet.backtest.combination_margin, fleet.backtest.tolerance
        winners = choose(errors, combined, tested.complexity, margin, tolerance)
        winners = np.where(winners == ENSEMBLE_INDEX, len(tested.names), winners)
        winners = _held_to_baseline(winners, means, tested, fleet)
    return _Bench(segments, tested, refit, fleet, contract, means, weights).settled(winners)


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
class _Draft:
    """A model that is to be checked. used : members with weight, whose shares are `weights`; family : their kinds."""

    segment: int
    choice: int
    used: Sequence[int]
    weights: FloatArray
    family: frozenset[type[GraphMember]]
    parameters: str
    graph: bytes


@dataclass(frozen=True)
class _Bench:
    """Everything known of the segments of one batch. means [S, M + 1], weights of the combination [S, M]."""

    segments: Sequence[str]
    tested: Backtest
    refit: Refit
    fleet: Fleet
    contract: FeatureSpec
    means: FloatArray
    weights: FloatArray

    def settled(self, winners: IntArray) -> list[TrainedSegment]:
        """Each winner's model; where its graph fails or differs from the native predictions, the next best one's."""
        choices = {s: _preference(int(winners[s]), self.means[s]) for s in range(len(self.segments))}
        reasons = {s: self._told(s) for s, left in choices.items() if not left}
        done: dict[int, TrainedSegment] = {}
        while pending := [s for s, left in choices.items() if left and s not in done]:
            drafts = []
            for s in pending:
                choice = choices[s].pop(0)
                try:
                    drafts.append(self._draft(s, choice))
                except ExportError as exc:
                    reasons[s] = f"{self._names[choice]} cannot be exported: {exc}"
            for draft, checked in zip(drafts, self._checked(drafts), strict=True):
                if isinstance(checked, TrainedSegment):
                    done[draft.segment] = checked
                else:
                    reasons[draft.segment] = f"{self._names[draft.choice]} cannot be exported: {checked}"
        return [done[s] if s in done else self._failed(s, reasons[s]) for s in choices]

    def _failed(self, s: int, reason: str) -> TrainedSegment:
        ranks = _ranks(-1, self.means[s], np.zeros(len(self.tested.names)), self._names)
        return replace(self._blank(s), ranks=ranks, reason=reason)

    def _told(self, s: int) -> str:
        """Why no candidate has a usable forecast, with what those that raised said."""
        said = [(name, self.refit.failure(s, m)) for m, name in enumerate(self.tested.names)]
        raised = "; ".join(f"{name}: {text}" for name, text in said if text)
        return "no candidate gave a finite forecast" + (f" ({raised})" if raised else "")

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.tested.names, ENSEMBLE)

    def _blank(self, s: int) -> TrainedSegment:
        """What is known of a segment whatever its model."""
        return replace(
            untrained(self.segments[s], ""),
            baseline_error=float(self.tested.baseline[s]),
            weight=float(self.tested.weight[s]),
            scale=float(self.tested.scale[s]),
        )

    def _draft(self, s: int, choice: int) -> _Draft:
        """The graph of one candidate, or of the combination. Raises ExportError if it has none."""
        names = self.tested.names
        weights = self.weights[s] if choice == len(names) else np.eye(len(names))[choice]
        # A member without weight would only make the graph larger; absent and zero mean the same to whoever stacks.
        used = [int(m) for m in np.flatnonzero(weights > _NO_WEIGHT)]
        shares = weights[used] / weights[used].sum()
        parameters = json.dumps({names[m]: dict(self.refit.parameters(s, m)) for m in used}, sort_keys=True)
        notes = {
            "myriad.fleet": self.fleet.name,
            "myriad.segment": self.segments[s],
            "myriad.contract": self.contract.to_json(),
            "myriad.parameters": parameters,
        }
        members = tuple(self.refit.member(s, m) for m in used)
        graph = build_graph(GraphSpec(self.contract, members, shares, self.refit.half_width(s, choice), notes))
        return _Draft(s, choice, used, shares, frozenset(map(type, members)), parameters, graph)

    def _checked(self, drafts: Sequence[_Draft]) -> list[TrainedSegment | str]:
        """Each model, or why its graph does not do: it is run, and compared with the native predictions."""
        inputs = [self.refit.features[draft.segment].astype(np.float32) for draft in drafts]
        families = [draft.family for draft in drafts]
        units = [self._unit(draft) for draft in drafts]
        runs = run_verified([draft.graph for draft in drafts], inputs, self.contract, families, units)
        return [self._compared(draft, run.outputs, run.latency_ms) for draft, run in zip(drafts, runs, strict=True)]

    def _unit(self, draft: _Draft) -> float:
        """What differences are measured in: the segment's mean absolute target."""
        scale = float(self.tested.scale[draft.segment])
        return scale if scale > 0 else 1.0

    def _compared(self, draft: _Draft, outputs: Predictions | Failure, latency_ms: float) -> TrainedSegment | str:
        if isinstance(outputs, Failure):
            return outputs.reason
        if not outputs.finite():
            return "its outputs are not finite in float32"
        native = self.refit.predictions[draft.segment][:, list(draft.used)] @ draft.weights
        expected = native if self.contract.minimum is None else np.maximum(native, self.contract.minimum)
        worst = float(np.max(np.abs(outputs.prediction - expected)))
        parity_error = worst / self._unit(draft)
        if not parity_error <= self.fleet.gates.max_parity_error:
            return f"its graph is off by {parity_error:.1e} of the segment's scale"
        weights = np.zeros(len(self.tested.names))
        weights[list(draft.used)] = draft.weights
        return replace(
            self._blank(draft.segment),
            candidate=self._names[draft.choice],
            error=float(self.means[draft.segment, draft.choice]),
            graph=draft.graph,
            sha256=hashlib.sha256(draft.graph).hexdigest(),
            parameters=draft.parameters,
            parity_error=parity_error,
            latency_ms=latency_ms,
            ranks=_ranks(draft.choice, self.means[draft.segment], weights, self._names),
        )


def _ranks(winner: int, errors: FloatArray, weights: FloatArray, names: Sequence[str]) -> tuple[Rank, ...]:
    """Standing of every candidate and of the combination, where it competes; errors : [M + 1]."""
    shares = [*weights.tolist(), 1.0]
    ranks = [Rank(name, float(errors[m]), shares[m], m == winner) for m, name in enumerate(names)]
    return tuple(ranks if np.isfinite(errors[-1]) else ranks[:-1])
