"""Recommend the number and memory of a fleet's workers from the cost of its tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.capacity.cost_model import CostModel, Work
from domain.capacity.makespan import enough_workers, makespan

__all__ = ["FleetTasks", "MemorySize", "Option", "Recommendation", "Sampled", "SerialPart", "Sizing", "size_fleet"]

MARGIN = 1.25
"""Factor on measured memory, for rows outside the sample and memory that the allocator keeps."""
PAUSED_SHARE = 0.8
"""Share of its memory limit at which Dask pauses a worker."""
_SIZES_GB = (0.5, 1, 2, 4, 8, 16, 32, 64, 128)
_GB = 10**9
_WORTH = 0.8
"""Twice as many workers are recommended only if they take less than this share of the time."""


@dataclass(frozen=True)
class FleetTasks:
    """The tasks of a training and a scoring of the whole fleet; train : the fallback levels first, if any."""

    segments: int
    buckets: int
    train: tuple[Work, ...]
    score: tuple[Work, ...]


@dataclass(frozen=True)
class Sampled:
    """The measured sample; failed : segments without a trained candidate; origin : source of the rows."""

    segments: int
    rows: int
    failed: int
    origin: str


@dataclass(frozen=True)
class SerialPart:
    """A part that more workers do not speed up; source : where the seconds come from."""

    name: str
    seconds: float
    source: str


@dataclass(frozen=True)
class Option:
    """The times for a number of workers.

    Parameters
    ----------
    train_worker_hours, score_worker_hours : hours that all workers are held, busy or not.
    seconds : in total, with the serial parts.
    memory_bytes : of all workers together, each of the recommended size.
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
    """A memory limit of a worker, and whether the largest task fits with a margin."""

    size_bytes: int
    fits: bool


@dataclass(frozen=True)
class Recommendation:
    """The recommended number of workers; memory_bytes : of each, None if no size suffices."""

    workers: int
    memory_bytes: int | None
    seconds: float


@dataclass(frozen=True)
class Sizing:
    """The training and scoring of a whole fleet on one worker and on more.

    Parameters
    ----------
    peak_bytes : memory of a worker at its largest task.
    needed_bytes : memory limit of a worker, with margins.
    enough : number of workers beyond which nothing gets faster.
    largest_seconds : time of the largest training task.
    cores : of this machine. here : the recommendation within them.
    notes : caveats for the reader.
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
    costs: CostModel,
    serial: Sequence[SerialPart],
    cores: int,
    notes: Sequence[str] = (),
) -> Sizing:
    """Size a fleet; serial : parts added to the time of any number of workers; cores : of this machine."""
    train = [costs.train.of(work) for work in tasks.train]
    score = [costs.score.of(work) for work in tasks.score] if costs.score else []
    peak = costs.peak_bytes(tasks.train, tasks.score)[0]
    needed = round(peak * MARGIN / PAUSED_SHARE)
    sizes = tuple(MemorySize(round(size * _GB), round(size * _GB) >= needed) for size in _SIZES_GB)
    smallest = next((size.size_bytes for size in sizes if size.fits), None)
    rest, enough = sum(part.seconds for part in serial), max(enough_workers(train), enough_workers(score))

    def option(workers: int) -> Option:
        training, scoring = costs.first_seconds + makespan(train, workers), makespan(score, workers)
        hours = [workers * seconds / 3600 for seconds in (training, scoring)]
        total = training + scoring + rest
        return Option(workers, training, hours[0], scoring, hours[1], total, workers * (smallest or needed))

    options = tuple(option(workers) for workers in _counts(enough))
    within = [choice for choice in options if choice.workers <= cores] or options[:1]
    return Sizing(
        fleet=fleet,
        tasks=tasks,
        sampled=sampled,
        rates=costs,
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
    """1, 2, 4, ..., and the number beyond which nothing gets faster."""
    counts = [1]
    while counts[-1] * 2 < enough:
        counts.append(counts[-1] * 2)
    return counts if enough == 1 else [*counts, enough]


def _recommended(options: Sequence[Option], memory_bytes: int | None) -> Recommendation:
    """Double the workers as long as that saves a fifth of the time."""
    chosen = options[0]
    for better in options[1:]:
        if better.seconds > _WORTH * chosen.seconds:
            break
        chosen = better
    return Recommendation(chosen.workers, memory_bytes, chosen.seconds)
