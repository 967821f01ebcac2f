"""The tasks of a fleet by size: what every bucket has to train and to score; and which segments stand for all."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from domain.capacity.cost_model import Work
from domain.config.fleet import Fleet
from domain.data.fallback_levels import MAX_FALLBACK_ROWS
from domain.data.partitioning import fallback_keys

__all__ = ["bucket_work", "level_work", "representative_buckets", "representative_segments"]

_BUCKETS = 8
_FEW = 8


def bucket_work(profiles: Iterable[Mapping[str, Any]], wanted: Collection[str] | None = None) -> list[Work]:
    """Segments and rows of each bucket, in order of their numbers. profiles : rows of the `segments` table.

    wanted : the segments that count; default all.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for profile in profiles:
        if wanted is None or profile["segment"] in wanted:
            rows[profile["bucket"]].append(profile["rows"] - profile["excluded"])
    return [Work(len(found), sum(found)) for _, found in sorted(rows.items())]


def level_work(profiles: Iterable[Mapping[str, Any]], wanted: Collection[str], fleet: Fleet) -> Work:
    """The fallback levels that are trained, and their rows: a level of a forecast fleet has one a period."""
    known = [profile for profile in profiles if profile["rows"]]
    count = total = 0
    for keys in fallback_keys([profile["segment"] for profile in known], fleet).values():
        rows: dict[str, list[int]] = defaultdict(list)
        for profile, key in zip(known, keys, strict=True):
            if key in wanted:
                rows[key].append(profile["rows"] - profile["excluded"])
        count += len(rows)
        if fleet.task_type.periodic:
            total += sum(max(found) for found in rows.values())
        else:
            total += min(sum(sum(found) for found in rows.values()), MAX_FALLBACK_ROWS)
    return Work(count, total)


def representative_buckets(buckets: Sequence[Work], segments: int) -> list[int]:
    """Places of buckets that together have so many segments, spread over their sizes; a few where each has plenty."""
    order = sorted(range(len(buckets)), key=lambda place: (buckets[place].rows, place))
    count = min(_BUCKETS, len(order))
    while True:
        chosen = [order[(2 * number + 1) * len(order) // (2 * count)] for number in range(count)]
        if count == len(order) or sum(buckets[place].segments for place in chosen) >= segments:
            return sorted(chosen)
        count = min(2 * count, len(order))


def representative_segments(rows: Mapping[str, int], segments: int) -> list[list[str]]:
    """Segments to measure, in pieces that differ in what they cost: a few of all sizes, many short, many long ones.

    rows : of each segment. segments : how many to take, spread over the sizes; all where there are fewer.
    """
    order = sorted(rows, key=lambda segment: (rows[segment], segment))
    count = min(segments, len(order))
    taken = [order[(2 * number + 1) * len(order) // (2 * count)] for number in range(count)]
    few = taken[_FEW // 2 :: _FEW] or taken[:1]
    rest = [segment for segment in taken if segment not in set(few)]
    half = len(rest) // 2
    return [sorted(piece) for piece in (few, rest[:half], rest[half:]) if piece]
