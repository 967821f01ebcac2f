"""Status of a fleet as values, and the next steps that follow from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from domain.reporting.formatting import format_count

__all__ = [
    "FleetStatus",
    "InputsView",
    "PredictionsView",
    "QuarantineCount",
    "ReleaseView",
    "RunView",
    "SegmentLine",
    "next_steps",
]


@dataclass(frozen=True)
class ReleaseView:
    """The release in force.

    made_at, kind, source : of its newest change. changed : number of models that came with that change.
    champions, levels : models of segments and of fallback levels. candidates : champions of segments by candidate.
    kept : numbers of all releases that are kept.
    """

    number: int
    made_at: datetime
    kind: str
    source: str
    changed: int
    champions: int
    levels: int
    pinned: tuple[str, ...]
    candidates: Mapping[str, int]
    kept: tuple[int, ...]


@dataclass(frozen=True)
class RunView:
    """One training run. seconds : duration of all stages; None without a report.

    against_estimate : ratio of actual to estimated, by figure such as `train_seconds`.
    """

    run_id: str
    finished_at: datetime
    outcomes: Mapping[str, int]
    seconds: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    against_estimate: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionsView:
    """Predictions of a fleet. rows : of all jobs; the other figures are those of the newest job."""

    rows: int
    job_id: str
    job_rows: int
    scored_at: datetime
    release: int
    first_origin: datetime | None
    last_origin: datetime | None
    statuses: Mapping[str, int]
    levels: Mapping[str, int]


@dataclass(frozen=True)
class QuarantineCount:
    """Number of rows, or files, that one stage rejected for one reason."""

    stage: str
    reason: str
    rows: int


@dataclass(frozen=True)
class InputsView:
    """Input files of one role. errors : (path, reason) of files that could not be read."""

    role: str
    files: int
    size_bytes: int
    rows_read: int
    rows_accepted: int
    newest: str
    ingested_at: datetime
    errors: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FleetStatus:
    """Status of one fleet.

    held : number of challengers that gates held in the newest promotion, without those held by a pin or a rollback.
    at_work : description of the run in progress, if any. stale : tables older than those they derive from.
    """

    fleet: str
    lake: str
    segments: int
    rows: int
    release: ReleaseView | None
    runs: tuple[RunView, ...]
    predictions: PredictionsView | None
    quarantine: tuple[QuarantineCount, ...]
    inputs: tuple[InputsView, ...]
    held: int
    at_work: str
    stale: tuple[str, ...]
    next: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentLine:
    """One segment in a list. held : gates that its challenger failed in the newest promotion, if any."""

    segment: str
    outcome: str
    candidate: str
    reason: str
    held: str


def next_steps(status: FleetStatus, file: str, awaited: str = "") -> tuple[str, ...]:
    """Suggest next steps with their commands, most urgent first.

    file : fleet file, or its name, in the commands. awaited : that there are no rows to score yet, and the way out.
    """
    return (*_missing_stages(status, file), *_problems(status, file), *_stale_stages(status, file, awaited))


def _missing_stages(status: FleetStatus, file: str) -> Iterator[str]:
    if not status.inputs:
        yield f"nothing has been ingested: myriad run {file}"
    elif not status.runs:
        yield f"nothing has been trained: myriad run {file}"
    elif status.release is None:
        yield f"there is no release: myriad promote {file}"


def _problems(status: FleetStatus, file: str) -> Iterator[str]:
    refused = sum(len(inputs.errors) for inputs in status.inputs)
    if refused:
        yield f"{format_count(refused, 'file')} refused; fix or remove them, then: myriad ingest {file}"
    failed = status.runs[0].outcomes.get("failed", 0) if status.runs else 0
    if failed:
        yield f"{format_count(failed, 'segment')} failed: myriad status {status.fleet} --segments --outcome failed"
    if status.held:
        yield f"{format_count(status.held, 'challenger')} held by gates: myriad status {status.fleet} --segments --held"
    missing = status.predictions.statuses.get("no_model", 0) if status.predictions else 0
    if missing:
        yield f"{format_count(missing, 'prediction')} without a model; add a fallback level, such as fallback: [global]"


def _stale_stages(status: FleetStatus, file: str, awaited: str) -> Iterator[str]:
    """Name only the first stage that is out of date: later stages follow from it."""
    if "observations" in status.stale:
        yield f"new rows since the last partition: myriad run {file}"
    elif "challengers" in status.stale:
        yield f"observations are newer than the challengers: myriad train {file}"
    elif "verdicts" in status.stale and status.release is not None:
        yield f"challengers are newer than the release: myriad promote {file}"
    elif status.release is not None:
        if status.predictions is None:
            yield awaited or f"nothing has been scored: myriad score {file}"
        elif "predictions" in status.stale or status.predictions.release < status.release.number:
            yield f"predictions are older than release {status.release.number} or its rows: myriad score {file}"
