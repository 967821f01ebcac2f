"""The models that training makes, one per segment, with their places in the ranking of candidates."""

from dataclasses import dataclass

__all__ = ["Rank", "TrainedSegment", "untrained"]

_NAN = float("nan")


@dataclass(frozen=True)
class Rank:
    """The place of one candidate, or of the ensemble, for one segment. weight : its share of the ensemble."""

    candidate: str
    error: float
    weight: float
    selected: bool


@dataclass(frozen=True)
class TrainedSegment:
    """The model of one segment; if training failed, `graph` is empty and `reason` says why.

    contract : its feature contract as JSON.
    """

    segment: str
    candidate: str
    error: float
    baseline_error: float
    weight: float
    scale: float
    graph: bytes
    sha256: str
    parameters: str
    parity_error: float
    latency_ms: float
    ranks: tuple[Rank, ...]
    reason: str = ""
    contract: str = ""

    @property
    def failed(self) -> bool:
        return not self.graph


def untrained(segment: str, reason: str) -> TrainedSegment:
    """A segment on which no candidate was tried."""
    return TrainedSegment(segment, "", _NAN, _NAN, _NAN, _NAN, b"", "", "{}", _NAN, _NAN, (), reason)
