"""Verdict of one gate as a value: a row of the verdicts table."""

from dataclasses import dataclass

__all__ = ["Verdict"]


@dataclass(frozen=True)
class Verdict:
    """The verdict of one gate. decisive : a failure holds the challenger; other failures are only recorded."""

    gate: str
    passed: bool
    decisive: bool
    value: float
    limit: float
    reason: str
