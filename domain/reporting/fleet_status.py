"""What is known of a fleet at one moment, as values; and what that suggests to do next."""

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
    """The release in force. made_at, kind, source : of the newest change in it; changed : models that came with it.

    candidates : champions of segments by candidate. kept : numbers of all releases that are kept.
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
    """A training. seconds : of all its stages; None where no report tells.

    against_estimate : actual over estimated, by figure, such as `train_seconds`.
    """

    run_id: str
    finished_at: datetime
    outcomes: Mapping[str, int]
    seconds: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    against_estimate: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictionsView:
    """rows : in all; the other figures are those of the newest job."""

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
    """Rejected rows, or files, of one stage for one reason."""

    stage: str
    reason: str
    rows: int


@dataclass(frozen=True)
class InputsView:
    """Files of one role. errors : (path, why it gave no rows)."""

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
    """Everything of one fleet. held : challengers that the newest promotion held, but for
    those that a pin or a rollback holds. at_work : the run that is, in words.

    stale : what is newer than what was made from it, such as ("observations", "landed").
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
    """One segment in a list. held : the gates that its challenger failed in the newest promotion; else empty."""

    segment: str
    outcome: str
    candidate: str
    reason: str
    held: str


def next_steps(status: FleetStatus, file: str) -> tuple[str, ...]:
    """What to do next, most urgent first; each names the command. file : the fleet file, or its name, for commands."""
    return (*_missing(status, file), *_troubles(status, file), *_outdated(status, file))


def _missing(status: FleetStatus, file: str) -> Iterator[str]:
    if not status.inputs:
        yield f"nothing has been ingested: myriad run {file}"
    elif not status.runs:
        yield f"nothing has been trained: myriad run {file}"
    elif status.release is None:
        yield f"there is no release: myriad promote {file}"


def _troubles(status: FleetStatus, file: str) -> Iterator[str]:
    refused = sum(len(inputs.errors) for inputs in status.inputs)
    if refused:
        yield f"{format_count(refused, 'file')} refused; mend or remove them, then: myriad ingest {file}"
    failed = status.runs[0].outcomes.get("failed", 0) if status.runs else 0
    if failed:
        yield f"{format_count(failed, 'segment')} failed: myriad status {status.fleet} --segments --outcome failed"
    if status.held:
        yield f"{format_count(status.held, 'challenger')} held by gates: myriad status {status.fleet} --segments --held"
    without = status.predictions.statuses.get("no_model", 0) if status.predictions else 0
    if without:
        yield f"{format_count(without, 'prediction')} without a model; add a fallback level, such as fallback: [global]"


def _outdated(status: FleetStatus, file: str) -> Iterator[str]:
    """Only the first stage that is behind: those after it follow."""
    if "observations" in status.stale:
        yield f"rows landed since the partition: myriad run {file}"
    elif "challengers" in status.stale:
        yield f"observations are newer than the challengers: myriad train {file}"
    elif "verdicts" in status.stale and status.release is not None:
        yield f"challengers are newer than the release: myriad promote {file}"
    elif status.release is not None:
        if status.predictions is None:
            yield f"nothing has been scored: myriad score {file}"
        elif "predictions" in status.stale or status.predictions.release < status.release.number:
            yield f"predictions are older than release {status.release.number} or its rows: myriad score {file}"
