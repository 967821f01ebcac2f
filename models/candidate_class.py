"""From an entry in the registry of candidates to the code that it names."""

import importlib
from typing import Any

from domain.config.candidates import CandidateSpec

__all__ = ["candidate_class"]


def candidate_class(spec: CandidateSpec) -> Any:
    """The class that an entry names in `make`; imported when it is needed, so that LightGBM is loaded by its users."""
    module, _, name = spec.make.rpartition(".")
    return getattr(importlib.import_module(module), name)
