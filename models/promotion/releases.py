"""What pins and repairs of the registry came to, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Difference", "DifferenceKind", "PinSummary", "PinnedSegment", "SyncSummary"]

DifferenceKind = Literal["missing_versions", "missing_files", "changed_numbers", "wrong_aliases", "stray_aliases"]


@dataclass(frozen=True)
class PinnedSegment:
    """A segment or level that is pinned in a release."""

    segment: str
    model_name: str
    version: int
    candidate: str
    pinned_at: datetime
    bucket: int
    release: int


@dataclass(frozen=True)
class PinSummary:
    """What holds for a segment now. release : in force afterwards. changed : whether a release was made for it."""

    segment: str
    model_name: str
    version: int
    pinned: bool
    release: int
    changed: bool


@dataclass(frozen=True)
class Difference:
    """One kind of difference between lake and registry: how many models, and some of them."""

    kind: DifferenceKind
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class SyncSummary:
    """What was looked at, and what differed. release : in force afterwards; a new one if its numbers changed."""

    fleet: str
    models: int
    release: int | None
    dry_run: bool
    differences: tuple[Difference, ...]
