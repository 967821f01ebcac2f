"""The smoothing methods by the names of their candidates."""

from functools import lru_cache

from domain.config.candidates import CANDIDATES
from models.candidate_class import candidate_class
from models.smoothing.base import SmoothingMethod

__all__ = ["smoothing_method"]


@lru_cache
def smoothing_method(name: str) -> SmoothingMethod:
    """The smoothing method of a built-in candidate."""
    method: SmoothingMethod = candidate_class(CANDIDATES[name])()
    return method
