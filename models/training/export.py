"""Export winners as ONNX graphs, and check each graph against the native predictions."""

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
from models.features.centre import CENTRE
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import SegmentParameters
from models.onnx_graphs.builder import GraphMember, GraphSpec, LinearMember, build_graph
from models.onnx_graphs.runtime import Predictions, run_verified
from models.training.backtest import Backtest
from models.training.trained import Rank, TrainedSegment, untrained

__all__ = ["Refit", "Selection"]

_NO_WEIGHT = 1e-6


@dataclass(frozen=True)
class Refit:
    """The M candidates fitted on all rows of S segments.

    Parameters
    ----------
    features : [S, H, k], at which graphs are checked.
    predictions : native predictions [S, H, M] at the features; NaN where a candidate does not apply or failed.
    member : graph member of candidate m for segment s; raises ExportError if it has none.
    parameters : frozen parameters of candidate m for segment s.
    half_width : half width [H] of the interval of segment s around candidate m, or around the ensemble (m = M).
    failure : message of the exception that candidate m raised for segment s; empty if it raised none.
    centre : of each segment, [S], which the features are relative to; None where they are not.
    """

    features: FloatArray
    predictions: FloatArray
    member: Callable[[int, int], GraphMember]
    parameters: Callable[[int, int], SegmentParameters]
    half_width: Callable[[int, int], FloatArray]
    failure: Callable[[int, int], str] = lambda s, m: ""
    centre: FloatArray | None = None


@dataclass(frozen=True)
class ExportAttempt:
    """A graph that is to be checked.

    members : candidates with weight, whose shares are `weights`; families : the kinds of their graph members.
    """

    segment: int
    choice: int
    members: Sequence[int]
    weights: FloatArray
    families: frozenset[type[GraphMember]]
    parameters: str
    graph: bytes


@dataclass(frozen=True)
class Selection:
    """Backtest and refit of one batch of segments, from which their models are made.

    means : mean backtest errors [S, M + 1], the ensemble last. weights : of the ensemble, [S, M].
    """

    segments: Sequence[str]
    backtest: Backtest
    refit: Refit
    fleet: Fleet
    spec: FeatureSpec
    means: FloatArray
    weights: FloatArray

    def models(self, winners: IntArray) -> list[TrainedSegment]:
        """The winners' models; if a graph fails or differs from the native predictions, that of the next best."""
        choices = {s: _preference(int(winners[s]), self.means[s]) for s in range(len(self.segments))}
        reasons = {s: self._failure_reason(s) for s, left in choices.items() if not left}
        models: dict[int, TrainedSegment] = {}
        while pending := [s for s, left in choices.items() if left and s not in models]:
            attempts = []
            for s in pending:
                choice = choices[s].pop(0)
                try:
                    attempts.append(self._attempt(s, choice))
                except ExportError as exc:
                    reasons[s] = f"{self._names[choice]} cannot be exported: {exc}"
            for attempt, outcome in zip(attempts, self._check(attempts), strict=True):
                if isinstance(outcome, TrainedSegment):
                    models[attempt.segment] = outcome
                else:
                    reasons[attempt.segment] = f"{self._names[attempt.choice]} cannot be exported: {outcome.reason}"
        return [models[s] if s in models else self._failed(s, reasons[s]) for s in choices]

    def _failed(self, s: int, reason: str) -> TrainedSegment:
        ranks = _ranks(-1, self.means[s], np.zeros(len(self.backtest.names)), self._names)
        return replace(self._without_model(s), ranks=ranks, reason=reason)

    def _failure_reason(self, s: int) -> str:
        """The reason why no candidate has a usable forecast, with the messages of those that raised."""
        messages = [(name, self.refit.failure(s, m)) for m, name in enumerate(self.backtest.names)]
        raised = "; ".join(f"{name}: {message}" for name, message in messages if message)
        return "no candidate gave a finite forecast" + (f" ({raised})" if raised else "")

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.backtest.names, ENSEMBLE)

    def _without_model(self, s: int) -> TrainedSegment:
        """The figures of a segment that do not depend on its model."""
        return replace(
            untrained(self.segments[s], ""),
            baseline_error=float(self.backtest.baseline_errors[s]),
            weight=float(self.backtest.weight[s]),
            scale=float(self.backtest.scale[s]),
        )

    def _attempt(self, s: int, choice: int) -> ExportAttempt:
        """The graph of one candidate, or of the ensemble. Raises ExportError if it has none."""
        names = self.backtest.names
        weights = self.weights[s] if choice == len(names) else np.eye(len(names))[choice]
        # A member without weight would only enlarge the graph; to batched graphs, absent and zero are the same.
        used = [int(m) for m in np.flatnonzero(weights > _NO_WEIGHT)]
        shares = weights[used] / weights[used].sum()
        centre = self._centre(s)
        frozen = {names[m]: dict(self.refit.parameters(s, m)) for m in used}
        parameters = json.dumps(frozen | ({CENTRE: {"centre": centre}} if centre else {}), sort_keys=True)
        metadata = {
            "myriad.fleet": self.fleet.name,
            "myriad.segment": self.segments[s],
            "myriad.contract": self.spec.to_json(),
            "myriad.parameters": parameters,
        }
        members = tuple(_relative(self.refit.member(s, m), centre) for m in used)
        graph = build_graph(GraphSpec(self.spec, members, shares, self.refit.half_width(s, choice), metadata))
        return ExportAttempt(s, choice, used, shares, frozenset(map(type, members)), parameters, graph)

    def _centre(self, s: int) -> float:
        return 0.0 if self.refit.centre is None else float(self.refit.centre[s])

    def _check(self, attempts: Sequence[ExportAttempt]) -> list[TrainedSegment | Failure]:
        """Run each graph; the model, or the reason why its graph is not accepted."""
        inputs = [self.refit.features[attempt.segment].astype(np.float32) for attempt in attempts]
        families = [attempt.families for attempt in attempts]
        units = [self._unit(attempt) for attempt in attempts]
        runs = run_verified([attempt.graph for attempt in attempts], inputs, self.spec, families, units)
        return [
            self._compare(attempt, run.outputs, run.latency_ms) for attempt, run in zip(attempts, runs, strict=True)
        ]

    def _unit(self, attempt: ExportAttempt) -> float:
        """Unit of differences: the mean absolute target of the segment, or its distance from the centre."""
        scale = float(self.backtest.scale[attempt.segment])
        if self.refit.centre is not None:
            scale = float(np.mean(np.abs(self.refit.predictions[attempt.segment] - self._centre(attempt.segment))))
        return scale if scale > 0 else 1.0

    def _compare(
        self, attempt: ExportAttempt, outputs: Predictions | Failure, latency_ms: float
    ) -> TrainedSegment | Failure:
        if isinstance(outputs, Failure):
            return outputs
        if not outputs.finite():
            return Failure("its outputs are not finite in float32")
        native = self.refit.predictions[attempt.segment][:, list(attempt.members)] @ attempt.weights
        expected = native if self.spec.minimum is None else np.maximum(native, self.spec.minimum)
        if self.spec.centred:
            outputs = outputs.from_centre(self._centre(attempt.segment), self.spec.minimum)
        worst = float(np.max(np.abs(outputs.prediction - expected)))
        parity_error = worst / self._unit(attempt)
        if not parity_error <= self.fleet.gates.max_parity_error:
            return Failure(f"its graph is off by {parity_error:.1e} of the segment's scale")
        return self._model(attempt, parity_error, latency_ms)

    def _model(self, attempt: ExportAttempt, parity_error: float, latency_ms: float) -> TrainedSegment:
        weights = np.zeros(len(self.backtest.names))
        weights[list(attempt.members)] = attempt.weights
        return replace(
            self._without_model(attempt.segment),
            candidate=self._names[attempt.choice],
            error=float(self.means[attempt.segment, attempt.choice]),
            graph=attempt.graph,
            sha256=hashlib.sha256(attempt.graph).hexdigest(),
            parameters=attempt.parameters,
            contract=self.spec.to_json(),
            parity_error=parity_error,
            latency_ms=latency_ms,
            ranks=_ranks(attempt.choice, self.means[attempt.segment], weights, self._names),
        )


def _relative(member: GraphMember, centre: float) -> GraphMember:
    """The member for features relative to a centre; only bounds are in the target's unit, all else is differences."""
    if centre and isinstance(member, LinearMember):
        return replace(member, low=member.low - centre, high=member.high - centre)
    return member


def _preference(winner: int, errors: FloatArray) -> list[int]:
    """The winner, then the others by error: the order of attempts until one passes. errors : [M + 1]."""
    ranked = [int(m) for m in np.argsort(errors) if np.isfinite(errors[m])]
    return [winner, *(m for m in ranked if m != winner)] if winner in ranked else ranked


def _ranks(winner: int, errors: FloatArray, weights: FloatArray, names: Sequence[str]) -> tuple[Rank, ...]:
    """Ranks of all candidates, and of the ensemble where it competes; errors : [M + 1]."""
    shares = [*weights.tolist(), 1.0]
    ranks = [Rank(name, float(errors[m]), shares[m], m == winner) for m, name in enumerate(names)]
    return tuple(ranks if np.isfinite(errors[-1]) else ranks[:-1])
