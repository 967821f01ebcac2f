"""What an examination of a set-up finds: one verdict a question, with the way out where it is a bad one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Verdict", "counts", "too_old"]

Verdict = Literal["ok", "warning", "failed", "unused"]


@dataclass(frozen=True)
class Check:
    """The answer to one question. found : the figure or the error. way_out : what to do, unless all is well."""

    part: str
    name: str
    verdict: Verdict
    found: str
    way_out: str = ""


def counts(checks: Iterable[Check]) -> dict[Verdict, int]:
    """Checks by verdict; verdicts without one are 0."""
    found: dict[Verdict, int] = {"ok": 0, "warning": 0, "failed": 0, "unused": 0}
    for check in checks:
        found[check.verdict] += 1
    return found


def too_old(version: str, least: tuple[int, ...]) -> bool:
    """Whether a version such as `3.8.8` comes before `least`; one that cannot be read does not."""
    numbers = tuple(int(part) for part in version.split(".")[: len(least)] if part.isdigit())
    return len(numbers) == len(least) and numbers < least
