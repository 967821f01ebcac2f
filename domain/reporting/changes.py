"""What changed since the former run of a fleet: outcomes, champions, errors, settings, versions."""

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
_SHIFTS = 5
_SAME_SHARE = 0.005
"""An error that moved by less of itself counts as the same."""
_CONCERN = ("failed", "gone", "skipped", "fallback", "new", "trained", "reused")


@dataclass(frozen=True)
class SettingChange:
    """One setting or version that is not what it was; '–' where there was or is none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class OutcomeTransition:
    """Segments that went from one outcome to another; before is `new` and after `gone` where there is no outcome."""

    before: Outcome | str
    after: Outcome | str
    segments: int
    examples: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


@dataclass(frozen=True)
class ChampionFigures:
    """What is compared of a champion."""

    candidate: str
    error: float
    fingerprint: str


@dataclass(frozen=True)
class Replacement:
    """Champions that were replaced, by candidate; empty where the segment had, or has, no champion."""

    before: str
    after: str
    segments: int


@dataclass(frozen=True)
class ErrorChange:
    """A replaced champion whose backtest error moved."""

    segment: str
    before: ChampionFigures
    after: ChampionFigures

    @property
    def delta(self) -> float:
        return self.after.error - self.before.error


@dataclass(frozen=True)
class InputFile:
    """A new or changed file of the training input, as it was read in this run."""

    path: str
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Changes:
    """This run against the one before it.

    transitions : by what deserves attention first; empty where the lake does not know the former run.
    replaced : champions that are not those of the former release; None where that release is no longer kept.
    better, equal, worse : of the replaced ones, by backtest error. gains, losses : the largest of them.
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
    files_left: int = 0


def changes_between(
    former: Summary,
    now: Summary,
    outcomes: tuple[Mapping[str, str], Mapping[str, str]],
    champions: tuple[Mapping[str, ChampionFigures] | None, Mapping[str, ChampionFigures]],
    files: Sequence[InputFile] = (),
    most_files: int = 10,
) -> Changes:
    """Compare two runs.

    outcomes, champions : of the former run and of this one, by segment. champions : None if no longer kept.
    files : that this run read.
    """
    old, new = champions
    shifts = _shifts(old, new) if old is not None else []
    moved = sorted((shift for shift in shifts if not _same(shift)), key=lambda shift: (shift.delta, shift.segment))
    gains, losses = [s for s in moved if s.delta < 0], [s for s in reversed(moved) if s.delta > 0]
    replacements = _replacements(old, new) if old is not None else ()
    ordered = sorted(files, key=lambda file: (-file.rows, file.path))
    return Changes(
        former=former,
        transitions=_transitions(*outcomes) if outcomes[0] else (),
        replacements=replacements,
        replaced=None if old is None else sum(replacement.segments for replacement in replacements),
        better=len(gains),
        equal=len(shifts) - len(moved),
        worse=len(losses),
        gains=tuple(gains[:_SHIFTS]),
        losses=tuple(losses[:_SHIFTS]),
        settings=_differences(former.config, now.config),
        versions=_differences(former.versions, now.versions),
        files=tuple(ordered[:most_files]),
        files_left=max(len(ordered) - most_files, 0),
    )


def _transitions(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[OutcomeTransition, ...]:
    segments: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for segment in sorted(before.keys() | after.keys()):
        segments[before.get(segment, "new"), after.get(segment, "gone")].append(segment)
    found = [OutcomeTransition(*pair, len(names), tuple(names[:_EXAMPLES])) for pair, names in segments.items()]
    return tuple(sorted(found, key=lambda t: (not t.moved, _CONCERN.index(t.after), -t.segments, t.before)))


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


def _shifts(before: Mapping[str, ChampionFigures], after: Mapping[str, ChampionFigures]) -> list[ErrorChange]:
    """Segments that had a champion and have another one."""
    both = before.keys() & after.keys()
    return [ErrorChange(s, before[s], after[s]) for s in both if before[s].fingerprint != after[s].fingerprint]


def _same(shift: ErrorChange) -> bool:
    """Also where an error is unknown: nothing can be said then."""
    size = max(abs(shift.before.error), abs(shift.after.error))
    return not abs(shift.delta) > _SAME_SHARE * size


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[SettingChange, ...]:
    names = [*after, *(name for name in before if name not in after)]
    pairs = ((name, before.get(name, "–"), after.get(name, "–")) for name in names)
    return tuple(SettingChange(*pair) for pair in pairs if pair[1] != pair[2])
