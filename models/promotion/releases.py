"""The results of pins and of repairs of the registry, as values."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["Difference", "DifferenceKind", "PinSummary", "PinnedSegment", "SyncSummary"]

DifferenceKind = Literal[
    "changed_graphs",
    "lost_graphs",
    "missing_versions",
    "missing_files",
    "changed_files",
    "changed_numbers",
    "wrong_aliases",
    "stray_aliases",
]


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
    """The state of a segment after a pin; `release` is in force, `changed` says whether it was made for the pin."""

    segment: str
    model_name: str
    version: int
    pinned: bool
    release: int
    changed: bool


@dataclass(frozen=True)
class Difference:
    """One kind of difference between lake and registry: the number of models, and the names of some."""

    kind: DifferenceKind
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class SyncSummary:
    """The models that were compared, and their differences; `release` is in force, a new one if its numbers changed."""

    fleet: str
    models: int
    release: int | None
    dry_run: bool
    differences: tuple[Difference, ...]
