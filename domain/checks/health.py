"""Checks of a set-up: one verdict per check, with the remedy where it is not ok."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Verdict", "counts", "too_old"]

Verdict = Literal["ok", "warning", "failed", "unused"]


@dataclass(frozen=True)
class Check:
    """Result of one check.

    found : a figure or the error. way_out : the remedy; empty where none is needed.
    """

    part: str
    name: str
    verdict: Verdict
    found: str
    way_out: str = ""


def counts(checks: Iterable[Check]) -> dict[Verdict, int]:
    """Count checks by verdict, including verdicts that no check has."""
    totals: dict[Verdict, int] = {"ok": 0, "warning": 0, "failed": 0, "unused": 0}
    for check in checks:
        totals[check.verdict] += 1
    return totals


def too_old(version: str, least: tuple[int, ...]) -> bool:
    """Return True if a version such as `3.8.8` comes before `least`; False if it cannot be parsed."""
    numbers = tuple(int(part) for part in version.split(".")[: len(least)] if part.isdigit())
    return len(numbers) == len(least) and numbers < least
