"""Balance of a run: every row and segment that went in is accounted for."""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.reporting.summary import Summary

__all__ = ["BalanceCheck", "balance_checks"]


@dataclass(frozen=True)
class BalanceCheck:
    """A total and the parts that must add up to it."""

    name: str
    whole: int
    parts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Sum of the parts."""
        return sum(count for _, count in self.parts)

    @property
    def ok(self) -> bool:
        return self.whole == self.total


def balance_checks(summary: Summary) -> tuple[BalanceCheck, ...]:
    """Derive every balance check that the figures of the run allow."""
    return tuple(_checks(summary))


def _checks(s: Summary) -> Iterator[BalanceCheck]:
    rows = [("accepted", s.rows.accepted), ("quarantined", s.rows.quarantined)]
    rows += [("merged into their period", s.rows.merged)] if s.rows.merged else []
    yield BalanceCheck("rows read", s.rows.read, tuple(rows))
    outcomes = ("trained", "reused", "fallback", "skipped", "failed")
    yield BalanceCheck("segments", s.segments, tuple((name, getattr(s.outcomes, name)) for name in outcomes))
    challengers = s.outcomes.trained + s.outcomes.reused
    yield BalanceCheck("challengers to register", challengers, (("registered", s.registered),))
    decisions = (("promoted", s.promoted), ("held", s.held), ("unchanged", s.unchanged))
    yield BalanceCheck("challengers to judge", challengers, decisions)
    if s.statuses:
        yield BalanceCheck("predictions", s.predictions, tuple(sorted(s.statuses.items())))
        levels = ((name or "own model", rows) for name, rows in sorted(s.fallbacks.items()))
        yield BalanceCheck("predictions with a value", s.statuses.get("ok", 0), tuple(levels))
