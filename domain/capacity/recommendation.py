"""Advice how many workers of what size a fleet needs, from what its tasks cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.capacity.cost_model import CostModel, Work
from domain.capacity.makespan import enough_workers, makespan

__all__ = ["FleetTasks", "MemorySize", "Option", "Recommendation", "Sampled", "SerialPart", "Sizing", "size_fleet"]

MARGIN = 1.25
"""Of the memory that was measured: rows that a sample lacks, and what an allocator keeps."""
PAUSED_SHARE = 0.8
"""Of its limit, at which Dask gives a worker nothing more to do."""
_SIZES_GB = (0.5, 1, 2, 4, 8, 16, 32, 64, 128)
_GB = 10**9
_WORTH = 0.8
"""Twice the workers must take less than this share of the time, or they are not recommended."""


@dataclass(frozen=True)
class FleetTasks:
    """What a training and a scoring of the whole fleet do on workers. train : the fallback levels first, if any."""

    segments: int
    buckets: int
    train: tuple[Work, ...]
    score: tuple[Work, ...]


@dataclass(frozen=True)
class Sampled:
    """What was measured. failed : segments that no candidate could be trained on. origin : where the rows were."""

    segments: int
    rows: int
    failed: int
    origin: str


@dataclass(frozen=True)
class SerialPart:
    """What more workers do not make faster. source : where the seconds are from."""

    name: str
    seconds: float
    source: str


@dataclass(frozen=True)
class Option:
    """So many workers. Hours are those that all workers are held, busy or not. seconds : with the serial parts.

    memory_bytes : of all workers together, at the size recommended for one.
    """

    workers: int
    train_seconds: float
    train_worker_hours: float
    score_seconds: float
    score_worker_hours: float
    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class MemorySize:
    """A memory limit of a worker, and whether its largest task fits with a margin."""

    size_bytes: int
    fits: bool


@dataclass(frozen=True)
class Recommendation:
    """The fewest workers that are worth it. memory_bytes : of one; None where no size is enough."""

    workers: int
    memory_bytes: int | None
    seconds: float


@dataclass(frozen=True)
class Sizing:
    """How a whole fleet trains and scores on one worker and on more.

    peak_bytes : of a worker at its largest task. needed_bytes : limit of a worker with margins.
    enough : workers beyond which nothing gets faster; largest_seconds : of the largest task of training.
    cores : of this machine; here : the recommendation within them. notes : what a reader must know besides.
    """

    fleet: str
    tasks: FleetTasks
    sampled: Sampled
    rates: CostModel
    options: tuple[Option, ...]
    memory: tuple[MemorySize, ...]
    peak_bytes: int
    needed_bytes: int
    enough: int
    largest_seconds: float
    serial: tuple[SerialPart, ...]
    recommended: Recommendation
    here: Recommendation
    cores: int
    notes: tuple[str, ...] = ()


def size_fleet(
    fleet: str,
    tasks: FleetTasks,
    sampled: Sampled,
    rates: CostModel,
    serial: Sequence[SerialPart],
    cores: int,
    notes: Sequence[str] = (),
) -> Sizing:
    """The advice. serial : added to the time of any number of workers. cores : of this machine."""
    train = [rates.train.of(work) for work in tasks.train]
    score = [rates.score.of(work) for work in tasks.score] if rates.score else []
    peak = rates.peak_bytes(tasks.train, tasks.score)[0]
    needed = round(peak * MARGIN / PAUSED_SHARE)
    sizes = tuple(MemorySize(round(size * _GB), round(size * _GB) >= needed) for size in _SIZES_GB)
    smallest = next((size.size_bytes for size in sizes if size.fits), None)
    rest, enough = sum(part.seconds for part in serial), max(enough_workers(train), enough_workers(score))

    def option(workers: int) -> Option:
        training, scoring = rates.first_seconds + makespan(train, workers), makespan(score, workers)
        hours = [workers * seconds / 3600 for seconds in (training, scoring)]
        total = training + scoring + rest
        return Option(workers, training, hours[0], scoring, hours[1], total, workers * (smallest or needed))

    options = tuple(option(workers) for workers in _counts(enough))
    within = [each for each in options if each.workers <= cores] or options[:1]
    return Sizing(
        fleet=fleet,
        tasks=tasks,
        sampled=sampled,
        rates=rates,
        options=options,
        memory=sizes,
        peak_bytes=peak,
        needed_bytes=needed,
        enough=enough,
        largest_seconds=max(train, default=0.0),
        serial=tuple(serial),
        recommended=_recommended(options, smallest),
        here=_recommended(within, smallest),
        cores=cores,
        notes=tuple(notes),
    )


def _counts(enough: int) -> list[int]:
    """1, 2, 4, ..., and the number from which on nothing gets faster."""
    counts = [1]
    while counts[-1] * 2 < enough:
        counts.append(counts[-1] * 2)
    return counts if enough == 1 else [*counts, enough]


def _recommended(options: Sequence[Option], memory_bytes: int | None) -> Recommendation:
    """As many workers as each doubling still saves a fifth of the time."""
    chosen = options[0]
    for better in options[1:]:
        if better.seconds > _WORTH * chosen.seconds:
            break
        chosen = better
    return Recommendation(chosen.workers, memory_bytes, chosen.seconds)
