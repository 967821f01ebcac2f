"""What `myriad size` shows: what was measured, times by number of workers, memory, and a recommendation at the end."""

from collections.abc import Iterator

from cli.views.tables import Section, print_sections
from domain.capacity.cost_model import StageCost
from domain.capacity.recommendation import Option, Recommendation, Sizing
from domain.reporting.formatting import format_bytes, format_count, format_duration, format_number, format_percent

__all__ = ["print_sizing"]

_GB = 10**9
_HEADER = ("workers", "train", "worker-hours", "score", "worker-hours", "in all", "memory")


def print_sizing(found: Sizing) -> None:
    """The recommendation comes last."""
    print_sections(_sections(found))


def _sections(found: Sizing) -> Iterator[Section]:
    yield Section(f"sample of fleet {found.fleet}", list(_sampled(found)))
    rows = [_option(option) for option in found.options]
    yield Section("whole fleet, every segment trained and scored", rows, _HEADER, frozenset(range(len(_HEADER))))
    yield Section("in all includes, however many workers", [_part(*vars(part).values()) for part in found.serial])
    yield Section("memory of a worker", list(_memory(found)))
    yield Section("limits", [(line,) for line in (_limit(found), *found.notes)])
    yield Section("recommended", list(_advice(found)))


def _sampled(found: Sizing) -> Iterator[tuple[str, str]]:
    sampled, rates = found.sampled, found.rates
    share = format_percent(sampled.segments / max(found.tasks.segments, 1))
    segments = f"{sampled.segments:,} of {found.tasks.segments:,} segments ({share})"
    yield "measured", f"{segments}, {format_count(sampled.rows, 'row')}, from {sampled.origin}"
    yield "train", _rate(rates.train)
    yield "score", _rate(rates.score) if rates.score else "nothing to score"
    yield "idle worker", format_bytes(rates.idle_bytes)


def _rate(rate: StageCost) -> str:
    """Milliseconds of what there is: `300 ms a bucket + 4.20 ms a segment`."""
    parts = ((rate.fixed, "bucket"), (rate.per_segment, "segment"), (rate.per_row, "row"))
    return " + ".join(f"{format_number(1e3 * seconds)} ms a {what}" for seconds, what in parts if seconds) or "no time"


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
    """As settings take it: `0.5 GB`, `2 GB`."""
    return f"{size_bytes / _GB:.3g} GB"


def _part(name: str, seconds: float, source: str) -> tuple[str, str]:
    return name, f"{format_duration(seconds)}, {source}"


def _memory(found: Sizing) -> Iterator[tuple[str, str]]:
    yield "largest task", f"{format_bytes(found.peak_bytes)}, and {format_bytes(found.needed_bytes)} with margins"
    for fits, label in ((False, "too small"), (True, "fits")):
        sizes = [_gb(size.size_bytes) for size in found.memory if size.fits is fits]
        if sizes:
            yield label, ", ".join(sizes)


def _limit(found: Sizing) -> str:
    tasks = len(found.tasks.train)
    why = f"the largest of {format_count(tasks, 'task')} of training takes {format_duration(found.largest_seconds)}"
    return f"more than {format_count(found.enough, 'worker')} make nothing faster: {why}"


def _advice(found: Sizing) -> Iterator[tuple[str, str]]:
    best, here = found.recommended, found.here
    yield "anywhere", _told(best)
    if here.workers != best.workers:
        yield f"on {format_count(found.cores, 'core')}", _told(here)
    memory = f" MYRIAD_WORKER_MEMORY={_gb(here.memory_bytes).replace(' ', '')}" if here.memory_bytes else ""
    yield "settings", f"MYRIAD_WORKERS={here.workers}{memory}"
    if found.enough <= best.workers:
        fixed = f"partition.buckets is {found.tasks.buckets:,}, and is fixed by the first partition"
        yield "buckets", f"{fixed}; more of them would let more workers help"


def _told(advice: Recommendation) -> str:
    memory = f" with {_gb(advice.memory_bytes)}" if advice.memory_bytes else " with more than 128 GB"
    each = " each" if advice.workers > 1 else ""
    return f"{format_count(advice.workers, 'worker')}{memory}{each}: about {format_duration(advice.seconds)}"
