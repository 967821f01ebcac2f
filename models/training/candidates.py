"""The candidates of a fleet, made from its file and from the registry in `domain/config/candidates.py`."""

from domain.config.fleet import Fleet
from domain.config.training import CandidateConfig
from models.candidate_class import candidate_class
from models.smoothing.candidate import SmoothingCandidate
from models.smoothing.methods import smoothing_method
from models.training.base import Candidate, RowCandidate

__all__ = ["candidates_of", "row_candidates_of"]


def candidates_of(fleet: Fleet) -> list[Candidate]:
    """The candidates of a forecast fleet, in the order of its file.

    Raises FleetError for an estimator that cannot be made.
    """
    return [_candidate(config, fleet) for config in fleet.candidates]


def row_candidates_of(fleet: Fleet) -> list[RowCandidate]:
    """The candidates of a regression fleet, in the order of its file.

    Raises FleetError for an estimator that cannot be made.
    """
    return [candidate_class(config.spec)(config, fleet) for config in fleet.candidates]


def _candidate(config: CandidateConfig, fleet: Fleet) -> Candidate:
    if config.spec.family == "smoothing":
        return SmoothingCandidate(config.name, smoothing_method(config.name))
    candidate: Candidate = candidate_class(config.spec)(config, fleet)
    return candidate
