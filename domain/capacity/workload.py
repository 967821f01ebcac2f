"""The sizes of a fleet's tasks, and the representative buckets and segments that are measured."""

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


def bucket_work(profiles: Iterable[Mapping[str, Any]], included: Collection[str] | None = None) -> list[Work]:
    """Segments and rows of each bucket, in the order of their numbers.

    Parameters
    ----------
    profiles : rows of the `segments` table.
    included : the segments that count; default: all.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for profile in profiles:
        if included is None or profile["segment"] in included:
            rows[profile["bucket"]].append(profile["rows"] - profile["excluded"])
    return [Work(len(counts), sum(counts)) for _, counts in sorted(rows.items())]


def level_work(profiles: Iterable[Mapping[str, Any]], included: Collection[str], fleet: Fleet) -> Work:
    """The fallback levels to train, and their rows; a level of a forecast fleet has one row per period."""
    known = [profile for profile in profiles if profile["rows"]]
    count = total = 0
    for keys in fallback_keys([profile["segment"] for profile in known], fleet).values():
        rows: dict[str, list[int]] = defaultdict(list)
        for profile, key in zip(known, keys, strict=True):
            if key in included:
                rows[key].append(profile["rows"] - profile["excluded"])
        count += len(rows)
        if fleet.task_type.periodic:
            total += sum(max(counts) for counts in rows.values())
        else:
            total += min(sum(sum(counts) for counts in rows.values()), MAX_FALLBACK_ROWS)
    return Work(count, total)


def representative_buckets(buckets: Sequence[Work], segments: int) -> list[int]:
    """Indices of buckets, spread over their sizes, that together have at least so many segments."""
    order = sorted(range(len(buckets)), key=lambda index: (buckets[index].rows, index))
    count = min(_BUCKETS, len(order))
    while True:
        chosen = [order[(2 * number + 1) * len(order) // (2 * count)] for number in range(count)]
        if count == len(order) or sum(buckets[index].segments for index in chosen) >= segments:
            return sorted(chosen)
        count = min(2 * count, len(order))


def representative_segments(rows: Mapping[str, int], segments: int) -> list[list[str]]:
    """Segments to measure, in tasks of different cost: a few of all sizes, many short ones, many long ones.

    Parameters
    ----------
    rows : number of rows by segment.
    segments : how many to take, spread over the sizes; all if there are fewer.
    """
    order = sorted(rows, key=lambda segment: (rows[segment], segment))
    count = min(segments, len(order))
    taken = [order[(2 * number + 1) * len(order) // (2 * count)] for number in range(count)]
    few = taken[_FEW // 2 :: _FEW] or taken[:1]
    rest = [segment for segment in taken if segment not in set(few)]
    half = len(rest) // 2
    return [sorted(task) for task in (few, rest[:half], rest[half:]) if task]
