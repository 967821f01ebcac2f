"""Promotion gates at their limits, and the decision from their verdicts."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.config.gates import Gates
from models.promotion import gates as module
from models.promotion.gates import DELIBERATE, GATES, Evidence, Gate, counts_as_failure, decide, verdicts

GOOD = Evidence(
    segment="s=1",
    error=0.5,
    baseline_error=1.0,
    parity_error=1e-6,
    model_bytes=1000,
    latency_ms=1.0,
    rows=100,
    min_rows=30,
    fingerprint="new",
)
RIVAL = replace(GOOD, champion_fingerprint="old")
NAN = math.nan


def found(evidence, **gates):
    return {verdict.gate: verdict for verdict in verdicts(evidence, Gates(**gates))}


def decision(evidence, **gates):
    return decide(evidence, list(verdicts(evidence, Gates(**gates))))


def just_above(limit):
    return float(np.nextafter(limit, np.inf))


@pytest.mark.parametrize(
    ("gate", "field", "limit", "gates"),
    [
        ("baseline", "error", 1.25, {"baseline_tolerance": 0.25}),
        ("baseline", "error", 1.0, {}),
        ("parity", "parity_error", 1e-4, {}),
        ("parity", "parity_error", 0.5, {"max_parity_error": 0.5}),
        ("size", "model_bytes", 2_000_000, {}),
        ("worst_segment", "error", 0.75, {"worst_metric": 0.75}),
    ],
)
def test_a_gate_passes_at_its_limit_and_fails_just_above(gate, field, limit, gates):
    at = replace(GOOD, **{field: limit})
    above = replace(GOOD, **{field: limit + 1 if field == "model_bytes" else just_above(limit)})
    assert found(at, **gates)[gate].passed
    assert found(at, **gates)[gate].value == found(at, **gates)[gate].limit == limit
    assert decision(at, **gates) == "promote"
    assert not found(above, **gates)[gate].passed
    assert decision(above, **gates) == "hold"


def test_rows_pass_at_the_least_number_and_are_kept_as_they_are():
    verdict = found(replace(GOOD, rows=30))["rows"]
    assert (verdict.passed, verdict.value, verdict.limit) == (True, 30.0, 30.0)
    assert not found(replace(GOOD, rows=29))["rows"].passed
    assert decision(replace(GOOD, rows=29)) == "hold"


@pytest.mark.parametrize("field", ["error", "baseline_error", "parity_error"])
def test_nan_never_passes(field):
    assert decision(replace(GOOD, **{field: NAN})) == "hold"


def test_nan_never_passes_the_limit_of_the_worst_segment():
    assert not found(replace(GOOD, error=NAN), worst_metric=5.0)["worst_segment"].passed


@pytest.mark.parametrize("latency", [1e9, NAN])
def test_latency_is_noted_and_never_decides(latency):
    slow = replace(GOOD, latency_ms=latency)
    assert not found(slow)["latency"].passed
    assert not found(slow)["latency"].decisive
    assert decision(slow) == "promote"


def test_no_champion_gate_without_a_champion_and_no_worst_segment_unless_asked_for():
    assert list(found(GOOD)) == ["rows", "baseline", "parity", "size", "latency"]
    assert list(found(RIVAL, worst_metric=1.0))[-2:] == ["worst_segment", "champion"]


LIVE = replace(RIVAL, live_rows=4, live_error=1.02, live_champion_error=1.0)


def test_champion_is_compared_on_live_rows_where_there_are_enough():
    verdict = found(LIVE)["champion"]
    assert verdict.passed
    assert (verdict.value, verdict.limit) == (1.02, 1.02)
    assert "4 rows after both cut-offs" in verdict.reason
    assert not found(replace(LIVE, live_error=just_above(1.02)))["champion"].passed
    # A better backtest does not help against live rows, a worse one does not hurt.
    assert found(replace(LIVE, champion_error=1e-9))["champion"].passed
    assert not found(replace(LIVE, live_error=2.0, champion_error=1e9))["champion"].passed


def test_a_challenger_without_an_error_on_live_rows_is_held():
    assert decision(replace(LIVE, live_error=NAN)) == "hold"


@pytest.mark.parametrize("live", [{"live_rows": 3}, {"live_champion_error": NAN}])
def test_with_too_few_live_rows_the_backtest_decides(live):
    few = replace(LIVE, error=0.51, champion_error=0.5, **live)
    assert found(few)["champion"].passed
    assert found(few)["champion"].limit == pytest.approx(0.51)
    assert "insufficient_evidence" in found(few)["champion"].reason
    assert not found(replace(few, error=0.52))["champion"].passed


def test_the_reason_tells_too_few_rows_from_a_champion_without_error():
    assert "3 rows after both cut-offs, fewer than 4" in found(replace(LIVE, live_rows=3))["champion"].reason
    assert "the champion has no error on 9 rows" in (
        found(replace(LIVE, live_rows=9, live_champion_error=NAN))["champion"].reason
    )


@pytest.mark.parametrize(
    ("rule", "champion_error", "passed"),
    [("hold", 9.0, False), ("promote", 1e-9, True), ("backtest", NAN, True), ("hold", NAN, False)],
)
def test_insufficient_evidence_is_decided_as_the_fleet_says(rule, champion_error, passed):
    verdict = found(replace(RIVAL, champion_error=champion_error), insufficient_evidence=rule)["champion"]
    assert verdict.passed is passed
    assert math.isnan(verdict.value)


def test_an_unchanged_model_stays_whatever_the_gates_say():
    assert decision(replace(GOOD, champion_fingerprint="new")) == "unchanged"
    assert decision(replace(GOOD, champion_fingerprint="new", error=NAN)) == "unchanged"


@pytest.mark.parametrize("policy", ["hold", "backtest", "promote"])
def test_a_champion_that_cannot_be_run_is_no_rival(policy):
    useless = replace(RIVAL, champion_lacks=("price",), champion_error=1e-9)
    verdict = found(useless, insufficient_evidence=policy)["champion"]
    assert verdict.passed
    assert "needs price" in verdict.reason
    assert decision(useless, insufficient_evidence=policy) == "promote"


def test_one_failed_decisive_gate_holds():
    assert decision(GOOD) == "promote"
    assert decision(replace(GOOD, model_bytes=10**9)) == "hold"


errors = st.one_of(st.just(NAN), st.floats(0, 2))
LOWER = ["error", "parity_error", "model_bytes", "latency_ms", "live_error"]
HIGHER = ["baseline_error", "champion_error", "live_champion_error", "rows"]


@given(
    st.builds(
        Evidence,
        segment=st.just("s=1"),
        error=errors,
        baseline_error=errors,
        parity_error=st.one_of(st.just(NAN), st.floats(0, 2e-4)),
        model_bytes=st.integers(0, 3_000_000),
        latency_ms=st.floats(0, 100),
        rows=st.integers(0, 60),
        min_rows=st.just(30),
        fingerprint=st.just("new"),
        champion_fingerprint=st.sampled_from([None, "old", "new"]),
        champion_error=errors,
        live_rows=st.integers(0, 8),
        live_error=errors,
        live_champion_error=errors,
    ),
    st.builds(
        Gates,
        insufficient_evidence=st.sampled_from(["backtest", "hold", "promote"]),
        worst_metric=st.one_of(st.none(), st.floats(0.1, 2)),
        baseline_tolerance=st.floats(0, 1),
    ),
    st.sampled_from([*LOWER, *HIGHER]),
    st.floats(0, 1),
)
def test_better_evidence_never_turns_promote_into_hold(evidence, gates, field, share):
    value = getattr(evidence, field)
    better = value * share if field in LOWER else value * (1 + share)
    improved = replace(evidence, **{field: int(better) if isinstance(value, int) else better})
    before, after = (decide(each, list(verdicts(each, gates))) for each in (evidence, improved))
    assert (before, after) != ("promote", "hold")
    assert (before == "unchanged") == (after == "unchanged")


@pytest.mark.parametrize(
    ("gate", "change", "reason", "counts"),
    [
        ("registered", {"registered": False}, "not registered; run the training again", True),
        ("withdrawn", {"withdrawn": True}, "a rollback withdrew this model", False),
        ("pinned", {"pinned_version": 3}, "pinned to version 3; `myriad pin FLEET s=1 --off`", False),
    ],
)
def test_what_keeps_a_good_challenger_out_is_a_verdict_with_a_reason(gate, change, reason, counts):
    held = replace(RIVAL, champion_error=0.5, **change)
    assert gate not in found(RIVAL)
    assert not found(held)[gate].passed
    assert found(held)[gate].decisive
    assert reason in found(held)[gate].reason
    assert decision(held) == "hold"
    assert counts_as_failure(list(verdicts(held, Gates()))) is counts


def test_a_pinned_challenger_that_fails_a_gate_as_well_counts_as_failed():
    bad = replace(RIVAL, error=9.0, champion_error=9.0, pinned_version=3)
    assert counts_as_failure(list(verdicts(bad, Gates())))
    assert not counts_as_failure(list(verdicts(replace(GOOD, latency_ms=1e9), Gates())))


def test_the_pinned_model_itself_is_unchanged_and_an_unregistered_one_is_held():
    same = replace(GOOD, champion_fingerprint=GOOD.fingerprint, pinned_version=3)
    assert decision(same) == "unchanged"
    assert "pinned" not in found(same)
    assert decision(replace(same, registered=False)) == "hold"


# --- the list of gates


def test_verdicts_come_in_the_order_of_the_list():
    everything = replace(RIVAL, registered=False, graph_problem="changed", withdrawn=True, pinned_version=3)
    order = [verdict.gate for verdict in verdicts(everything, Gates(worst_metric=1.0))]
    assert order == [gate.name for gate in GATES]
    assert order[:4] == ["registered", "graph", "withdrawn", "pinned"]
    assert order[4:] == ["rows", "baseline", "parity", "size", "latency", "worst_segment", "champion"]
    assert [gate.name for gate in GATES if not gate.decisive] == ["latency"]
    assert DELIBERATE == ("withdrawn", "pinned")


def test_a_changed_graph_holds_the_challenger_and_frees_the_way_past_a_champion():
    assert decision(replace(GOOD, graph_problem="its graph is not the one that was trained")) == "hold"
    rival = replace(RIVAL, live_rows=1000, live_error=9.0, live_champion_error=1.0)
    assert decision(rival) == "hold"
    assert decision(replace(rival, champion_graph_problem="its graph is not the one that was trained")) == "promote"


def test_one_entry_adds_a_gate(monkeypatch):
    gate = Gate("even_rows", "the segment has an even number of rows", even_rows)
    monkeypatch.setattr(module, "GATES", (*GATES, gate))
    assert found(GOOD)["even_rows"].passed
    assert decision(replace(GOOD, rows=101)) == "hold"


def even_rows(evidence, gates):
    return module.Judgement(evidence.rows % 2 == 0, f"{evidence.rows} rows")
