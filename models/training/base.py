"""The protocols of candidates, and the values that their fits yield."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from domain.arrays import FloatArray
from domain.failure import Failure
from models.features.forecast_features import SegmentParameters
from models.features.training_rows import Cutoff
from models.onnx_graphs.builder import GraphMember

__all__ = ["Candidate", "Fitted", "RowCandidate", "RowFit"]


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted to all segments as of one cutoff.

    Parameters
    ----------
    forecast : [S, H] in the target's unit; NaN where the candidate does not apply or failed.
    member : graph member of a segment, by its index.
    parameters : of a segment, by its index.
    failures : messages of the exceptions that the candidate raised, by segment.
    """

    forecast: FloatArray
    member: Callable[[int], GraphMember]
    parameters: Callable[[int], SegmentParameters]
    failures: Mapping[int, str] = field(default_factory=dict)


class Candidate(Protocol):
    """A candidate of forecast fleets; `needs_rows` says whether it trains on feature rows."""

    @property
    def needs_rows(self) -> bool: ...

    def fit(self, cutoffs: Sequence[Cutoff]) -> list[Fitted]:
        """Fit all segments as of each of the cutoffs."""


@dataclass(frozen=True)
class RowFit:
    """A candidate fitted to the rows of one segment.

    predict : target [n] of rows [n, k]. member : its graph member; raises ExportError if it has none.
    """

    predict: Callable[[FloatArray], FloatArray]
    member: Callable[[], GraphMember]


class RowCandidate(Protocol):
    """A candidate of regression fleets."""

    def fit_rows(self, x: FloatArray, y: FloatArray) -> RowFit | Failure:
        """Fit to rows x [n, k] without gaps and their target y [n]; a Failure says why there is no fit."""
