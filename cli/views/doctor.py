"""Output of `myriad doctor`: a line per check as it comes, then the remedies and the totals."""

from collections.abc import Sequence

from domain.checks.health import Check, counts
from domain.reporting.formatting import format_count

__all__ = ["print_check", "print_summary"]


def print_check(check: Check) -> None:
    """Print one check at once: the slowest part must not keep the others from being seen."""
    print(f"{check.part:<10} {check.name:<20} {check.verdict:<8} {check.found}", flush=True)


def print_summary(checks: Sequence[Check]) -> None:
    """Print the remedy for each failure and warning, and the totals."""
    print()
    for check in checks:
        if check.way_out:
            print(f"{check.verdict}: {check.part}, {check.name}: {check.way_out}")
    totals = counts(checks)
    failures = format_count(totals["failed"], "failure", zero="no")
    print(f"{failures}, {format_count(totals['warning'], 'warning', zero='no')}")
