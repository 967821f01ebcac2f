"""A result that could not be produced, as a value."""

from dataclasses import dataclass

__all__ = ["Failure"]


@dataclass(frozen=True)
class Failure:
    """Stands where a result would be. One failed segment is data with a reason; it stops no other segment."""

    reason: str
