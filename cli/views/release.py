"""Output of `myriad pin` and `myriad registry sync`."""

from collections.abc import Mapping, Sequence

from cli.views.tables import Section, print_sections
from domain.reporting.formatting import format_count
from models.promotion.releases import DifferenceKind, PinnedSegment, PinSummary, SyncSummary

__all__ = ["print_pin", "print_pins", "print_sync"]

_KINDS: Mapping[DifferenceKind, tuple[str, str]] = {
    "changed_graphs": ("with a changed graph in the lake", "restored from an intact copy"),
    "lost_graphs": (
        "with a changed graph and no intact copy",
        "not run; roll back, or change its data or settings and train again",
    ),
    "missing_versions": ("missing in the registry", "registered again"),
    "missing_files": ("with missing files", "files restored"),
    "changed_files": ("with a changed graph in the registry's files", "files restored where an intact copy is left"),
    "changed_numbers": ("with another version number in the lake", "lake corrected"),
    "wrong_aliases": ("in force without the champion alias", "alias set"),
    "stray_aliases": ("with a champion alias but not in force", "alias removed"),
}


def print_pin(summary: PinSummary) -> None:
    """Print the model that is pinned or released now, in one line."""
    model = f"version {summary.version} of {summary.model_name}"
    if not summary.changed:
        print(f"{summary.segment} is already pinned to {model}; release {summary.release} stays in force")
    elif summary.pinned:
        print(f"release {summary.release} is in force: {summary.segment} is pinned to {model}")
    else:
        print(f"release {summary.release} is in force: {summary.segment} keeps {model}, and challengers compete again")


def print_pins(pins: Sequence[PinnedSegment]) -> None:
    """Print one line per pinned segment."""
    if not pins:
        print("no segment is pinned")
    header = ("segment", "model", "version", "candidate", "pinned at")
    rows = [
        (pin.segment, pin.model_name, str(pin.version), pin.candidate, f"{pin.pinned_at:%Y-%m-%d %H:%M} UTC")
        for pin in pins
    ]
    print_sections([Section(f"{format_count(len(pins), 'pinned segment')}", rows, header, numbers=frozenset({2}))])


def print_sync(summary: SyncSummary) -> None:
    """Print the differences by kind, with some names each."""
    checked = f"registry of {summary.fleet}: {format_count(summary.models, 'model')} in the lake"
    if not summary.differences:
        print(f"{checked} checked; no differences")
        return
    for difference in summary.differences:
        problem, repair = _KINDS[difference.kind]
        state = "" if summary.dry_run else f": {repair}"
        more = difference.count - len(difference.names)
        rows = [(name,) for name in (*difference.names, *([f"and {more:,} more"] if more else []))]
        print_sections([Section(f"{format_count(difference.count, 'model')} {problem}{state}", rows)])
    release = f"; release {summary.release} is in force" if summary.release else ""
    print(f"{checked} checked{'; nothing was changed (dry run)' if summary.dry_run else release}")
