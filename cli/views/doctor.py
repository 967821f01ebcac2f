"""Output of `myriad doctor`: a table of the checks, with the remedies below it."""

from collections.abc import Sequence

from cli.views.tables import Section, print_sections
from domain.checks.health import Check, counts
from domain.reporting.formatting import format_count

__all__ = ["print_checks"]


def print_checks(checks: Sequence[Check]) -> None:
    """Print the checks, the remedy for each failure and warning, and the totals."""
    rows = [(check.part, check.name, check.verdict, check.found) for check in checks]
    print_sections([Section("set-up", rows, ("part", "check", "verdict", "found"))])
    for check in checks:
        if check.way_out:
            print(f"{check.verdict}: {check.part}, {check.name}: {check.way_out}")
    totals = counts(checks)
    failures = format_count(totals["failed"], "failure", zero="no")
    print(f"{failures}, {format_count(totals['warning'], 'warning', zero='no')}")
