"""Contradictions between the sections of a fleet file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.config.aggregate import aggregate_contradictions
from domain.config.candidates import CANDIDATES, ENSEMBLE
from domain.config.training import Parent

if TYPE_CHECKING:
    from domain.config.fleet import Fleet

__all__ = ["contradictions"]


def contradictions(fleet: "Fleet") -> Iterator[str]:
    """Contradictions between keys, each as `key: the problem and the way out`."""
    yield from fleet.task_type.contradictions(fleet)
    yield from aggregate_contradictions(fleet)
    yield from _candidate_contradictions(fleet)
    yield from _column_clashes(fleet)
    for name in fleet.features.missing:
        if name not in fleet.features.numeric:
            yield f"features.missing: '{name}' is not a numeric column: {', '.join(fleet.features.numeric) or 'none'}"
    for level in fleet.fallback:
        if isinstance(level, Parent) and level.parent not in fleet.segment_by:
            yield f"fallback: parent '{level.parent}' is not one of segment_by: {', '.join(fleet.segment_by)}"


def _candidate_contradictions(fleet: "Fleet") -> Iterator[str]:
    names = [candidate.name for candidate in fleet.candidates]
    yield from (f"candidates: '{name}' is named twice" for name in dict.fromkeys(names) if names.count(name) > 1)
    allowed = sorted(name for name, spec in CANDIDATES.items() if fleet.task in spec.tasks)
    for candidate in fleet.candidates:
        name = candidate.name
        if candidate.estimator is not None:
            if name in CANDIDATES or name == ENSEMBLE:
                yield f"candidates: '{name}' is built in; give an estimator another name"
            continue
        if name not in allowed:
            yield (
                f"candidates: '{name}' is not a candidate for task {fleet.task}; allowed: {', '.join(allowed)}, "
                "or give `estimator:`"
            )
        elif candidate.params and candidate.spec.family != "estimator":
            params, takers = ", ".join(candidate.params), ", ".join(_takers_of_params())
            yield f"candidates: '{name}' takes no params, but has {params}; allowed for {takers} and for estimators"


def _takers_of_params() -> list[str]:
    return [name for name, spec in CANDIDATES.items() if spec.family == "estimator"]


def _column_clashes(fleet: "Fleet") -> Iterator[str]:
    roles: dict[str, str] = {}
    features = fleet.features
    named = [("segment_by", fleet.segment_by), ("target", [fleet.target.column]), ("features.known", features.known)]
    named += [("features.static", features.static), ("features.categorical", features.categorical)]
    for role, columns in named:
        for column in columns:
            if column in roles and not (role == "features.categorical" and roles[column] == "segment_by"):
                yield f"{role}: column '{column}' is already used as {roles[column]}"
            roles[column] = role
    if fleet.time is not None and roles.get(fleet.time.column) in ("segment_by", "target"):
        yield f"time.column: column '{fleet.time.column}' is already used as {roles[fleet.time.column]}"
    lower: dict[str, str] = {}
    for column in dict.fromkeys(fleet.segment_by):
        other = lower.setdefault(column.lower(), column)
        if other != column:
            yield (
                f"segment_by: columns '{other}' and '{column}' differ only in case; rename one, "
                "since names of fallback models are lower case"
            )
