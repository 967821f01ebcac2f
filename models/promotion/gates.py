"""Promotion gates: pure checks that yield verdicts from evidence, and the decision that follows from the verdicts.

`GATES` lists the gates in the order of their verdicts; to add one, add a `Gate` to the list and its row to the table
in docs/architecture.md. A verdict is stored with the figures that it was based on, whether it passed or not.
"""

import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.config.gates import Gates
from domain.data.verdict import Verdict

__all__ = [
    "DELIBERATE",
    "GATES",
    "Decision",
    "Evidence",
    "Gate",
    "Judgement",
    "Verdict",
    "counts_as_failure",
    "decide",
    "verdicts",
]

Decision = Literal["promote", "hold", "unchanged"]


@dataclass(frozen=True)
class Evidence:
    """The figures on one challenger, and on the champion that it would replace.

    Parameters
    ----------
    error, baseline_error : backtest errors in the fleet's metric.
    champion_fingerprint : None if the segment has no champion.
    champion_error : backtest error of the champion's kind of model, refitted in the challenger's own backtest; NaN if
        that kind did not take part.
    live_rows : rows after the cut-offs of both models; live_error and live_champion_error are the errors on them.
    registered : the challenger is a version in the registry.
    withdrawn : a rollback withdrew this model.
    pinned_version : the version that the segment is pinned to; None if it is not pinned.
    champion_lacks : features that the champion needs and that the fleet file no longer has; it cannot be run.
    graph_problem, champion_graph_problem : why the graph in the lake is not the one that was trained; empty if it is.
    """

    segment: str
    error: float
    baseline_error: float
    parity_error: float
    model_bytes: int
    latency_ms: float
    rows: int
    min_rows: int
    fingerprint: str
    champion_fingerprint: str | None = None
    champion_error: float = math.nan
    live_rows: int = 0
    live_error: float = math.nan
    live_champion_error: float = math.nan
    registered: bool = True
    withdrawn: bool = False
    pinned_version: int | None = None
    champion_lacks: tuple[str, ...] = ()
    graph_problem: str = ""
    champion_graph_problem: str = ""

    @property
    def is_champion(self) -> bool:
        """True if this model is already the champion."""
        return self.champion_fingerprint == self.fingerprint


@dataclass(frozen=True)
class Judgement:
    """The outcome of a gate's check, with the figures that were compared; NaN where there are none."""

    passed: bool
    reason: str
    value: float = math.nan
    limit: float = math.nan


@dataclass(frozen=True)
class Gate:
    """A condition for promotion.

    Parameters
    ----------
    name : as it is stored with each verdict.
    summary : the condition, as in docs/architecture.md.
    judge : checks the evidence; returns None where the gate does not apply.
    decisive : a failure holds the challenger; otherwise it is only recorded.
    deliberate : somebody decided to hold the challenger, so that a failure does not count against the training.
    """

    name: str
    summary: str
    judge: Callable[[Evidence, Gates], Judgement | None]
    decisive: bool = True
    deliberate: bool = False

    def verdict(self, evidence: Evidence, gates: Gates) -> Verdict | None:
        """The verdict on one challenger; None where the gate does not apply."""
        judgement = self.judge(evidence, gates)
        if judgement is None:
            return None
        return Verdict(self.name, judgement.passed, self.decisive, judgement.value, judgement.limit, judgement.reason)


def _at_most(value: float, limit: float, reason: str) -> Judgement:
    """Pass if value <= limit; NaN never passes."""
    return Judgement(bool(value <= limit), reason, float(value), float(limit))


def _registered(evidence: Evidence, gates: Gates) -> Judgement | None:
    if evidence.registered:
        return None
    return Judgement(False, "its challenger is not registered; run the training again")


def _graph(evidence: Evidence, gates: Gates) -> Judgement | None:
    return Judgement(False, evidence.graph_problem) if evidence.graph_problem else None


def _withdrawn(evidence: Evidence, gates: Gates) -> Judgement | None:
    if not evidence.withdrawn:
        return None
    return Judgement(False, "a rollback withdrew this model; it stays out until its data or settings change")


def _pinned(evidence: Evidence, gates: Gates) -> Judgement | None:
    if evidence.pinned_version is None or evidence.is_champion:
        return None
    way_out = f"`myriad pin FLEET {shlex.quote(evidence.segment)} --off` lets challengers compete"
    return Judgement(False, f"pinned to version {evidence.pinned_version}; {way_out}")


def _rows(evidence: Evidence, gates: Gates) -> Judgement:
    reason = f"{evidence.rows} rows, at least {evidence.min_rows}"
    return Judgement(evidence.rows >= evidence.min_rows, reason, float(evidence.rows), float(evidence.min_rows))


def _baseline(evidence: Evidence, gates: Gates) -> Judgement:
    limit = evidence.baseline_error * (1 + gates.baseline_tolerance)
    reason = f"error {evidence.error:.4g} against {evidence.baseline_error:.4g} of the naive baseline"
    return _at_most(evidence.error, limit, reason)


def _parity(evidence: Evidence, gates: Gates) -> Judgement:
    reason = f"ONNX off by {evidence.parity_error:.1e} of the segment's scale"
    return _at_most(evidence.parity_error, gates.max_parity_error, reason)


def _size(evidence: Evidence, gates: Gates) -> Judgement:
    return _at_most(evidence.model_bytes, gates.max_model_bytes, f"{evidence.model_bytes:,} bytes")


def _latency(evidence: Evidence, gates: Gates) -> Judgement:
    return _at_most(evidence.latency_ms, gates.max_latency_ms, f"{evidence.latency_ms:.1f} ms with its session")


def _worst_segment(evidence: Evidence, gates: Gates) -> Judgement | None:
    if gates.worst_metric is None:
        return None
    return _at_most(evidence.error, gates.worst_metric, f"error {evidence.error:.4g}")


def _champion(evidence: Evidence, gates: Gates) -> Judgement | None:
    """Compare with the champion on rows that neither model has seen, or as the fleet says where there are too few."""
    if evidence.champion_fingerprint is None:
        return None
    if evidence.champion_lacks:
        lacking = ", ".join(evidence.champion_lacks)
        return Judgement(True, f"the champion needs {lacking}, which the fleet file no longer has")
    if evidence.champion_graph_problem:
        return Judgement(True, f"the champion is not run: {evidence.champion_graph_problem}")
    if evidence.live_rows >= gates.min_live_rows and not math.isnan(evidence.live_champion_error):
        limit = evidence.live_champion_error * (1 + gates.champion_tolerance)
        reason = (
            f"live error {evidence.live_error:.4g} against {evidence.live_champion_error:.4g} of the champion on "
            f"{evidence.live_rows} rows after both cut-offs"
        )
        return _at_most(evidence.live_error, limit, reason)
    return _without_live_rows(evidence, gates)


def _without_live_rows(evidence: Evidence, gates: Gates) -> Judgement:
    """Compare as `gates.insufficient_evidence` says."""
    reason = f"insufficient_evidence: {evidence.live_rows} rows after both cut-offs, fewer than {gates.min_live_rows}"
    if evidence.live_rows >= gates.min_live_rows:
        reason = f"insufficient_evidence: the champion has no error on {evidence.live_rows} rows after both cut-offs"
    if gates.insufficient_evidence != "backtest" or math.isnan(evidence.champion_error):
        return Judgement(gates.insufficient_evidence != "hold", reason)
    errors = f"backtest error {evidence.error:.4g} against {evidence.champion_error:.4g} of the champion's kind"
    return _at_most(evidence.error, evidence.champion_error * (1 + gates.champion_tolerance), f"{reason}; {errors}")


GATES = (
    Gate("registered", "the challenger is a version in the registry", _registered),
    Gate("graph", "the graph in the lake has the SHA-256 that it was trained with", _graph),
    Gate("withdrawn", "no rollback that is still in force withdrew this very model", _withdrawn, deliberate=True),
    Gate("pinned", "the segment is not pinned to a version", _pinned, deliberate=True),
    Gate("rows", "the segment has `partition.min_rows` rows", _rows),
    Gate("baseline", "backtest error ≤ that of the naive baseline × (1 + `baseline_tolerance`)", _baseline),
    Gate("parity", "ONNX and native predictions agree", _parity),
    Gate("size", "the graph has at most `max_model_bytes`", _size),
    Gate("latency", "one session and run take at most `max_latency_ms`", _latency, decisive=False),
    Gate("worst_segment", "backtest error ≤ `worst_metric`, if set", _worst_segment),
    Gate("champion", "not worse than the champion by more than `champion_tolerance`", _champion),
)
"""All gates, in the order of their verdicts. The first four yield a verdict only where they hold a challenger."""

DELIBERATE = tuple(gate.name for gate in GATES if gate.deliberate)
"""Names of the gates by which somebody holds a challenger on purpose."""


def verdicts(evidence: Evidence, gates: Gates) -> Iterator[Verdict]:
    """The verdicts on one challenger of all gates that apply to it."""
    for gate in GATES:
        verdict = gate.verdict(evidence, gates)
        if verdict is not None:
            yield verdict


def decide(evidence: Evidence, judged: Sequence[Verdict]) -> Decision:
    """Decide on a challenger: the champion stays unchanged, and a failed decisive gate holds any other."""
    if evidence.registered and evidence.is_champion:
        return "unchanged"
    return "promote" if all(verdict.passed for verdict in judged if verdict.decisive) else "hold"


def counts_as_failure(judged: Sequence[Verdict]) -> bool:
    """Return True if a held challenger counts as a failed training: not if only a pin or a rollback holds it."""
    return any(verdict.decisive and not verdict.passed and verdict.gate not in DELIBERATE for verdict in judged)
