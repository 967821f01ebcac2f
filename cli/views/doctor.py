"""What `myriad doctor` shows: a table of the checks, and below it what to do."""

from collections.abc import Sequence

from cli.views.tables import Section, counted, show_sections
from domain.checks.health import Check, counts

__all__ = ["show_checks"]


def show_checks(checks: Sequence[Check]) -> None:
    """Print the checks, then a way out for each that is not well, then a verdict."""
    rows = [(check.part, check.name, check.verdict, check.found) for check in checks]
    show_sections([Section("set-up", rows, ("part", "check", "verdict", "found"))])
    for check in checks:
        if check.way_out:
            print(f"{check.verdict}: {check.part}, {check.name}: {check.way_out}")
    found = counts(checks)
    print(f"{counted(found['failed'], 'failure')}, {counted(found['warning'], 'warning')}")
