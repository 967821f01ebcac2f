"""Output of `myriad size`: the measurements, times by number of workers, memory, and a recommendation at the end."""

from collections.abc import Iterator

from cli.views.tables import Section, print_sections
from domain.capacity.cost_model import StageCost
from domain.capacity.recommendation import Option, Recommendation, Sizing
from domain.reporting.formatting import format_bytes, format_count, format_duration, format_number, format_percent

__all__ = ["print_sizing"]

_GB = 10**9
_HEADER = ("workers", "train", "worker-hours", "score", "worker-hours", "total", "memory")


def print_sizing(sizing: Sizing) -> None:
    """Print a sizing to standard output; the recommendation comes last."""
    print_sections(_sections(sizing))


def _sections(sizing: Sizing) -> Iterator[Section]:
    yield Section(f"sample of fleet {sizing.fleet}", list(_sampled(sizing)))
    rows = [_option(option) for option in sizing.options]
    yield Section("whole fleet, every segment trained and scored", rows, _HEADER, frozenset(range(len(_HEADER))))
    yield Section("part of every total", [_part(*vars(part).values()) for part in sizing.serial])
    yield Section("memory of a worker", list(_memory(sizing)))
    yield Section("limits", [(line,) for line in (_limit(sizing), *sizing.notes)])
    yield Section("recommended", list(_recommendations(sizing)))


def _sampled(sizing: Sizing) -> Iterator[tuple[str, str]]:
    sampled, costs = sizing.sampled, sizing.rates
    share = format_percent(sampled.segments / max(sizing.tasks.segments, 1))
    segments = f"{sampled.segments:,} of {sizing.tasks.segments:,} segments ({share})"
    yield "measured", f"{segments}, {format_count(sampled.rows, 'row')}, from {sampled.origin}"
    yield "train", _cost(costs.train)
    yield "score", _cost(costs.score) if costs.score else "nothing to score"
    yield "idle worker", format_bytes(costs.idle_bytes)


def _cost(cost: StageCost) -> str:
    """Cost in milliseconds, without zero terms: `300 ms per bucket + 4.20 ms per segment`."""
    terms = ((cost.fixed, "bucket"), (cost.per_segment, "segment"), (cost.per_row, "row"))
    parts = [f"{format_number(1e3 * seconds)} ms per {unit}" for seconds, unit in terms if seconds]
    return " + ".join(parts) or "no time"


def _option(option: Option) -> tuple[str, ...]:
    return (
        f"{option.workers:,}",
        format_duration(option.train_seconds),
        _hours(option.train_worker_hours),
        format_duration(option.score_seconds),
        _hours(option.score_worker_hours),
        format_duration(option.seconds),
        f"{option.memory_bytes / _GB:,.0f} GB" if option.memory_bytes >= 10 * _GB else _gb(option.memory_bytes),
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:.3f}"


def _gb(size_bytes: int) -> str:
    """In the form of a setting: `0.5 GB`, `2 GB`."""
    return f"{size_bytes / _GB:.3g} GB"


def _part(name: str, seconds: float, source: str) -> tuple[str, str]:
    return name, f"{format_duration(seconds)}, {source}"


def _memory(sizing: Sizing) -> Iterator[tuple[str, str]]:
    yield "largest task", f"{format_bytes(sizing.peak_bytes)}, and {format_bytes(sizing.needed_bytes)} with margins"
    for fits, label in ((False, "too small"), (True, "fits")):
        sizes = [_gb(size.size_bytes) for size in sizing.memory if size.fits is fits]
        if sizes:
            yield label, ", ".join(sizes)


def _limit(sizing: Sizing) -> str:
    tasks = len(sizing.tasks.train)
    largest = format_duration(sizing.largest_seconds)
    reason = f"the largest of {format_count(tasks, 'training task')} takes {largest}"
    return f"more than {format_count(sizing.enough, 'worker')} would not be faster: {reason}"


def _recommendations(sizing: Sizing) -> Iterator[tuple[str, str]]:
    best, here = sizing.recommended, sizing.here
    yield "anywhere", _recommendation_text(best)
    if here.workers != best.workers:
        yield f"on {format_count(sizing.cores, 'core')}", _recommendation_text(here)
    memory = f" MYRIAD_WORKER_MEMORY={_gb(here.memory_bytes).replace(' ', '')}" if here.memory_bytes else ""
    yield "settings", f"MYRIAD_WORKERS={here.workers}{memory}"
    if sizing.enough <= best.workers:
        buckets = f"partition.buckets is {sizing.tasks.buckets:,}, fixed when the fleet was first partitioned"
        yield "buckets", f"{buckets}; more buckets could keep more workers busy"


def _recommendation_text(best: Recommendation) -> str:
    memory = f" with {_gb(best.memory_bytes)}" if best.memory_bytes else " with more than 128 GB"
    suffix = " each" if best.workers > 1 else ""
    return f"{format_count(best.workers, 'worker')}{memory}{suffix}: about {format_duration(best.seconds)}"
