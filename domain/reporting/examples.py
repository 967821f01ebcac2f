"""Choice of the segments that the report shows as examples; deterministic for equal figures."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from domain.reporting.formatting import format_number, format_percent

__all__ = ["Example", "SegmentProfile", "choose_examples", "worst_segments"]

_SHARES = (0.25, 0.75, 0.1, 0.9, 0.4, 0.6, 0.33, 0.67, 0.2, 0.8, 0.05, 0.95)


@dataclass(frozen=True)
class SegmentProfile:
    """Figures of a segment that qualify it as an example.

    candidate : empty without a champion; the errors are NaN then. size : total volume of the target.
    former : candidate of the champion that this run replaced, if any.
    """

    segment: str
    bucket: int
    outcome: str
    candidate: str = ""
    error: float = math.nan
    baseline: float = math.nan
    rows: int = 0
    size: float = 0.0
    zero_share: float = 0.0
    gaps: int = 0
    former: str = ""

    @property
    def ratio(self) -> float:
        """Champion error over baseline error; NaN where it is undefined."""
        return self.error / self.baseline if self.baseline > 0 else math.nan


@dataclass(frozen=True)
class Example:
    """A segment with the reason for showing it."""

    profile: SegmentProfile
    caption: str


def worst_segments(segments: Sequence[SegmentProfile], count: int) -> list[Example]:
    """Choose the segments with the largest errors."""
    ordered = sorted((s for s in segments if math.isfinite(s.error)), key=lambda s: (-s.error, s.segment))
    return [Example(segment, _rank(number)) for number, segment in enumerate(ordered[:count], start=1)]


def _rank(number: int) -> str:
    names = {1: "Largest error", 2: "Second largest error", 3: "Third largest error"}
    return names.get(number, f"{number}th largest error")


def choose_examples(segments: Sequence[SegmentProfile], count: int) -> list[Example]:
    """Choose up to `count` segments: best, median and worst, then special ones, then evenly spread errors."""
    chosen: dict[str, Example] = {}
    for example in _by_priority(segments):
        chosen.setdefault(example.profile.segment, example)
        if len(chosen) == count:
            break
    return list(chosen.values())


def _by_priority(segments: Sequence[SegmentProfile]) -> Iterator[Example]:
    known = sorted((s for s in segments if math.isfinite(s.error)), key=lambda s: (s.error, s.segment))
    own = [s for s in segments if s.candidate]
    if known:
        yield Example(known[0], "Smallest error")
        yield Example(known[len(known) // 2], "Median error")
        yield Example(known[-1], "Largest error")
    yield from _specials(known, own, segments)
    if known:
        for share in _SHARES:
            yield Example(known[round(share * (len(known) - 1))], f"{format_percent(share)} of the errors are smaller")
    rest = sorted(segments, key=lambda s: (not s.candidate, s.segment))
    yield from (Example(s, "One more segment" if s.candidate else "Without a model of its own") for s in rest)


def _specials(
    known: Sequence[SegmentProfile], own: Sequence[SegmentProfile], segments: Sequence[SegmentProfile]
) -> Iterator[Example]:
    against = [s for s in known if math.isfinite(s.ratio)]
    if best := _first(against, lambda s: s.ratio):
        yield Example(best, f"Best against the baseline: error ÷ baseline {format_number(best.ratio)}")
    if (behind := _first(against, lambda s: -s.ratio)) and behind.ratio > 1:
        yield Example(behind, f"Furthest behind the baseline: error ÷ baseline {format_number(behind.ratio)}")
    if (large := _first(own, lambda s: -s.size)) and large.size > 0:
        yield Example(large, "Largest volume")
    if (sparse := _first(own, lambda s: -s.zero_share)) and sparse.zero_share >= 0.2:
        yield Example(sparse, f"Intermittent: {format_percent(sparse.zero_share)} of the values are 0")
    short, long = (_first(own, lambda s, sign=sign: sign * s.rows) for sign in (1, -1))  # type: ignore[misc]
    if short and long and short.rows < long.rows:
        yield Example(short, f"Shortest history with a model: {short.rows:,} rows")
    if (gappy := _first(own, lambda s: -s.gaps)) and gappy.gaps:
        yield Example(gappy, f"Most gaps: {gappy.gaps:,} periods without a row")
    for outcome, label in (("fallback", "On fallback: too few rows"), ("failed", "Failed"), ("skipped", "Skipped")):
        if affected := _first([s for s in segments if s.outcome == outcome], lambda s: 0.0):
            rows = f" ({affected.rows:,})" if outcome == "fallback" else f", {affected.rows:,} rows"
            yield Example(affected, f"{label}{rows}")
    if swapped := _first([s for s in known if s.former and s.former != s.candidate], lambda s: s.error):
        yield Example(swapped, f"Champion replaced: {swapped.former} → {swapped.candidate}")


def _first(segments: Sequence[SegmentProfile], key: Callable[[SegmentProfile], float]) -> SegmentProfile | None:
    """Return the segment with the smallest key; ties go to the first name."""
    return min(segments, key=lambda s: (key(s), s.segment), default=None)
