"""Changes since the previous run of a fleet: outcomes, champions, errors, settings, versions."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.reporting.summary import Outcome, Summary

__all__ = [
    "ChampionFigures",
    "Changes",
    "ErrorChange",
    "InputFile",
    "OutcomeTransition",
    "Replacement",
    "SettingChange",
    "changes_between",
]

_EXAMPLES = 3
_MAX_ERROR_CHANGES = 5
_TIE_TOLERANCE = 0.005
"""Relative difference within which two backtest errors count as equal."""
_SEVERITY = ("failed", "gone", "skipped", "fallback", "new", "trained", "reused")


@dataclass(frozen=True)
class SettingChange:
    """A setting or package version with another value; '–' stands for absent."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class OutcomeTransition:
    """Segments by outcome in both runs; `new` and `gone` stand for segments that are in one run only."""

    before: Outcome | str
    after: Outcome | str
    segments: int
    examples: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """True if the outcome changed."""
        return self.before != self.after


@dataclass(frozen=True)
class ChampionFigures:
    """Figures of a champion that are compared between runs."""

    candidate: str
    error: float
    fingerprint: str


@dataclass(frozen=True)
class Replacement:
    """Number of replaced champions by old and new candidate; empty where there is no champion."""

    before: str
    after: str
    segments: int


@dataclass(frozen=True)
class ErrorChange:
    """Backtest errors of a replaced champion and of its successor."""

    segment: str
    before: ChampionFigures
    after: ChampionFigures

    @property
    def delta(self) -> float:
        return self.after.error - self.before.error


@dataclass(frozen=True)
class InputFile:
    """A new or changed file of the training input that this run read."""

    path: str
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Changes:
    """Comparison of this run with the previous one.

    transitions : most serious first; empty if the lake no longer has the outcomes of the previous run.
    replaced : number of champions that differ from the previous release; None if that release is no longer kept.
    better, equal, worse : replaced champions by backtest error. gains, losses : the largest changes of the error.
    files_omitted : number of files beyond those in `files`.
    """

    former: Summary
    transitions: tuple[OutcomeTransition, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    replaced: int | None = None
    better: int = 0
    equal: int = 0
    worse: int = 0
    gains: tuple[ErrorChange, ...] = ()
    losses: tuple[ErrorChange, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    versions: tuple[SettingChange, ...] = ()
    files: tuple[InputFile, ...] = ()
    files_omitted: int = 0


def changes_between(
    former: Summary,
    now: Summary,
    outcomes: tuple[Mapping[str, str], Mapping[str, str]],
    champions: tuple[Mapping[str, ChampionFigures] | None, Mapping[str, ChampionFigures]],
    files: Sequence[InputFile] = (),
    most_files: int = 10,
) -> Changes:
    """Compare two runs.

    Parameters
    ----------
    outcomes, champions : those of the previous run and of this one, by segment. The previous champions are None if
        their release is no longer kept.
    files : files that this run read, of which the `most_files` largest are listed.
    """
    old, new = champions
    error_changes = _error_changes(old, new) if old is not None else []
    moved = sorted((c for c in error_changes if not _is_tie(c)), key=lambda c: (c.delta, c.segment))
    gains, losses = [c for c in moved if c.delta < 0], [c for c in reversed(moved) if c.delta > 0]
    replacements = _replacements(old, new) if old is not None else ()
    ordered = sorted(files, key=lambda file: (-file.rows, file.path))
    return Changes(
        former=former,
        transitions=_transitions(*outcomes) if outcomes[0] else (),
        replacements=replacements,
        replaced=None if old is None else sum(replacement.segments for replacement in replacements),
        better=len(gains),
        equal=len(error_changes) - len(moved),
        worse=len(losses),
        gains=tuple(gains[:_MAX_ERROR_CHANGES]),
        losses=tuple(losses[:_MAX_ERROR_CHANGES]),
        settings=_differences(former.config, now.config),
        versions=_differences(former.versions, now.versions),
        files=tuple(ordered[:most_files]),
        files_omitted=max(len(ordered) - most_files, 0),
    )


def _transitions(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[OutcomeTransition, ...]:
    segments: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for segment in sorted(before.keys() | after.keys()):
        segments[before.get(segment, "new"), after.get(segment, "gone")].append(segment)
    transitions = [OutcomeTransition(*pair, len(names), tuple(names[:_EXAMPLES])) for pair, names in segments.items()]
    return tuple(sorted(transitions, key=lambda t: (not t.moved, _SEVERITY.index(t.after), -t.segments, t.before)))


def _replacements(
    before: Mapping[str, ChampionFigures], after: Mapping[str, ChampionFigures]
) -> tuple[Replacement, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for segment in before.keys() | after.keys():
        old, new = before.get(segment), after.get(segment)
        if old is None or new is None or old.fingerprint != new.fingerprint:
            counts[old.candidate if old else "", new.candidate if new else ""] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Replacement(*pair, segments) for pair, segments in ordered)


def _error_changes(before: Mapping[str, ChampionFigures], after: Mapping[str, ChampionFigures]) -> list[ErrorChange]:
    """Compare the errors of segments whose champion was replaced by another one."""
    both = before.keys() & after.keys()
    return [ErrorChange(s, before[s], after[s]) for s in both if before[s].fingerprint != after[s].fingerprint]


def _is_tie(change: ErrorChange) -> bool:
    """Return True if the errors are equal within the tolerance, or one of them is unknown."""
    size = max(abs(change.before.error), abs(change.after.error))
    return not abs(change.delta) > _TIE_TOLERANCE * size


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[SettingChange, ...]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = ((name, before.get(name, "–"), after.get(name, "–")) for name in names)
    return tuple(SettingChange(*pair) for pair in pairs if pair[1] != pair[2])
