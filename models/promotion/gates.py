"""Promotion gates: pure checks that yield verdicts from evidence; one function decides from the verdicts.

A verdict is kept with the figures it was decided on, whether it passed or not.
"""

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from domain.config.fleet import Gates

__all__ = ["DELIBERATE", "Decision", "Evidence", "Verdict", "counts_as_failure", "decide", "verdicts"]

Decision = Literal["promote", "hold", "unchanged"]
DELIBERATE = ("withdrawn", "pinned")
"""Gates that hold a challenger because somebody wanted it so."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one challenger, and of the champion it would replace (None: there is none).

    error, baseline_error : backtest, the fleet's metric. champion_error : of the champion's kind of model, refitted in
    the challenger's own backtest; NaN where it did not take part. live_rows : rows after both models' cut-offs, with
    live_error and live_champion_error on them. registered : it is a version in the registry. withdrawn : a rollback put
    this model out. pinned_version : the version that the segment is pinned to, None where it is not. champion_lacks :
    features that the champion needs and the fleet file no longer has; it cannot be run.
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

    @property
    def is_champion(self) -> bool:
        """Whether this model is the champion already."""
        return self.champion_fingerprint == self.fingerprint


@dataclass(frozen=True)
class Verdict:
    """One gate's verdict. decisive : a failure holds the challenger; advisory ones are only noted."""

    gate: str
    passed: bool
    decisive: bool
    value: float
    limit: float
    reason: str


def verdicts(evidence: Evidence, gates: Gates) -> Iterator[Verdict]:
    """Every gate's verdict on one challenger; `registered`, `withdrawn` and `pinned` speak only where they hold it."""
    yield from _barred(evidence)
    enough = evidence.rows >= evidence.min_rows
    text = f"{evidence.rows} rows, at least {evidence.min_rows}"
    yield Verdict("rows", enough, True, float(evidence.rows), float(evidence.min_rows), text)
    limit = evidence.baseline_error * (1 + gates.baseline_tolerance)
    text = f"error {evidence.error:.4g} against {evidence.baseline_error:.4g} of the naive baseline"
    yield _at_most("baseline", evidence.error, limit, text)
    text = f"ONNX off by {evidence.parity_error:.1e} of the segment's scale"
    yield _at_most("parity", evidence.parity_error, gates.max_parity_error, text)
    yield _at_most("size", evidence.model_bytes, gates.max_model_bytes, f"{evidence.model_bytes:,} bytes")
    text = f"{evidence.latency_ms:.1f} ms with its session"
    yield replace(_at_most("latency", evidence.latency_ms, gates.max_latency_ms, text), decisive=False)
    if gates.worst_metric is not None:
        yield _at_most("worst_segment", evidence.error, gates.worst_metric, f"error {evidence.error:.4g}")
    if evidence.champion_fingerprint is not None:
        yield _against_champion(evidence, gates)


def _barred(evidence: Evidence) -> Iterator[Verdict]:
    """What keeps a challenger out however good it is."""
    if not evidence.registered:
        yield _barring("registered", "its challenger is not registered; run the training again")
    if evidence.withdrawn:
        text = "a rollback withdrew this model; it stays out until its data or settings change"
        yield _barring("withdrawn", text)
    if evidence.pinned_version is not None and not evidence.is_champion:
        way_out = f"`myriad pin FLEET {shlex.quote(evidence.segment)} --off` lets challengers compete"
        yield _barring("pinned", f"pinned to version {evidence.pinned_version}; {way_out}")


def _barring(gate: str, text: str) -> Verdict:
    return Verdict(gate, False, True, math.nan, math.nan, text)


def _at_most(gate: str, value: float, limit: float, text: str) -> Verdict:
    """Passes if value <= limit; NaN never passes."""
    return Verdict(gate, bool(value <= limit), True, float(value), float(limit), text)


def _against_champion(evidence: Evidence, gates: Gates) -> Verdict:
    """Compare with the champion on rows that neither has seen, or as the fleet says where there are too few."""
    if evidence.champion_lacks:
        text = f"the champion needs {', '.join(evidence.champion_lacks)}, which the fleet file no longer has"
        return Verdict("champion", True, True, math.nan, math.nan, text)
    factor = 1 + gates.champion_tolerance
    if evidence.live_rows >= gates.min_live_rows and not math.isnan(evidence.live_champion_error):
        limit = evidence.live_champion_error * factor
        text = (
            f"live error {evidence.live_error:.4g} against {evidence.live_champion_error:.4g} of the champion on "
            f"{evidence.live_rows} rows after both cut-offs"
        )
        return _at_most("champion", evidence.live_error, limit, text)
    few = f"insufficient_evidence: {evidence.live_rows} rows after both cut-offs, fewer than {gates.min_live_rows}"
    if evidence.live_rows >= gates.min_live_rows:
        few = f"insufficient_evidence: the champion has no error on {evidence.live_rows} rows after both cut-offs"
    if gates.insufficient_evidence != "backtest" or math.isnan(evidence.champion_error):
        passed = gates.insufficient_evidence != "hold"
        return Verdict("champion", passed, True, math.nan, math.nan, few)
    limit = evidence.champion_error * factor
    text = f"{few}; backtest error {evidence.error:.4g} against {evidence.champion_error:.4g} of the champion's kind"
    return _at_most("champion", evidence.error, limit, text)


def decide(evidence: Evidence, found: Sequence[Verdict]) -> Decision:
    """What becomes of a challenger: an unchanged model stays what it is, a failed decisive gate holds it."""
    if evidence.registered and evidence.is_champion:
        return "unchanged"
    return "promote" if all(verdict.passed for verdict in found if verdict.decisive) else "hold"


def counts_as_failure(found: Sequence[Verdict]) -> bool:
    """Whether a held challenger speaks against its training: not if only a pin or a rollback holds it."""
    return any(v.decisive and not v.passed and v.gate not in DELIBERATE for v in found)
