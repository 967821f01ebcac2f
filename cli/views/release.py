"""What `myriad pin` and `myriad registry sync` print."""

from collections.abc import Mapping, Sequence

from cli.views.tables import Section, print_sections
from domain.reporting.formatting import format_count
from models.promotion.releases import DifferenceKind, PinnedSegment, PinSummary, SyncSummary

__all__ = ["print_pin", "print_pins", "print_sync"]

_KINDS: Mapping[DifferenceKind, tuple[str, str]] = {
    "missing_versions": ("that the registry did not have", "registered again"),
    "missing_files": ("whose files were gone", "files put back"),
    "changed_numbers": ("that the lake had under another number", "lake corrected"),
    "wrong_aliases": ("whose champion alias was not on the release in force", "alias set"),
    "stray_aliases": ("outside the release with a champion alias", "alias removed"),
}


def print_pin(summary: PinSummary) -> None:
    """One line: what holds now."""
    model = f"version {summary.version} of {summary.model_name}"
    if not summary.changed:
        print(f"{summary.segment} is pinned to {model} already; release {summary.release} stays in force")
    elif summary.pinned:
        print(f"release {summary.release} is in force: {summary.segment} is pinned to {model}")
    else:
        print(f"release {summary.release} is in force: {summary.segment} keeps {model}, and challengers compete again")


def print_pins(pins: Sequence[PinnedSegment]) -> None:
    """One line a pin."""
    if not pins:
        print("no segment is pinned")
    header = ("segment", "model", "version", "candidate", "pinned at")
    rows = [
        (pin.segment, pin.model_name, str(pin.version), pin.candidate, f"{pin.pinned_at:%Y-%m-%d %H:%M} UTC")
        for pin in pins
    ]
    print_sections([Section(f"{format_count(len(pins), 'pinned segment')}", rows, header, numbers=frozenset({2}))])


def print_sync(summary: SyncSummary) -> None:
    """What differed, by kind, with some names; or that nothing did."""
    looked = f"registry of {summary.fleet}: {format_count(summary.models, 'model')} of the lake"
    if not summary.differences:
        print(f"{looked}; nothing differed")
        return
    for difference in summary.differences:
        what, done = _KINDS[difference.kind]
        state = "" if summary.dry_run else f": {done}"
        more = difference.count - len(difference.names)
        rows = [(name,) for name in (*difference.names, *([f"and {more:,} more"] if more else []))]
        print_sections([Section(f"{format_count(difference.count, 'model')} {what}{state}", rows)])
    release = f"; release {summary.release} is in force" if summary.release else ""
    print(f"{looked}{'; nothing was changed (dry run)' if summary.dry_run else f' looked at{release}'}")
