"""What a check of a fleet looks at and what it finds: samples in, facts and problems out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from domain.config.task_types import TaskType, task_type

__all__ = [
    "ColumnFacts",
    "Estimate",
    "FileColumns",
    "Findings",
    "Problem",
    "Role",
    "SegmentFacts",
    "SourceFacts",
    "SourceSample",
    "TimeFacts",
    "WindowFacts",
]

Role = Literal["source", "score.source", "test.source"]
"""The key of the fleet file that names the files."""


@dataclass(frozen=True)
class FileColumns:
    """Name of a raw file and of its columns."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class SourceSample:
    """What was read of one source; nothing but `error` if its files cannot be listed or read.

    files, size : of the whole source, bytes as stored.
    named : columns of the files that were opened for them.
    chunks : rows of the files that have all columns (else what they have of them); they may differ in type.
    read_files, share_read : the files that the rows come from, and roughly their share of all rows. whole : every row
    of every file was read.
    broken : rows with another number of columns than the header.
    unused : distinct values of the columns that the fleet does not use, among the first `head_rows` rows.
    """

    path: str
    files: int = 0
    size: int = 0
    named: tuple[FileColumns, ...] = ()
    chunks: tuple[pa.Table, ...] = ()
    read_files: int = 0
    share_read: float = 1.0
    whole: bool = True
    broken: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)
    head_rows: int = 0
    error: str = ""


@dataclass(frozen=True)
class Problem:
    """error : the run would fail or be pointless; warning : it would run, but look first.

    key : of the fleet file.
    """

    severity: Literal["error", "warning"]
    key: str
    message: str


@dataclass(frozen=True)
class SourceFacts:
    """Files of a source and the rows read of them. rejected : `reason: detail` -> rows. read = accepted + rejected."""

    role: Role
    path: str
    files: int
    size_bytes: int
    whole: bool
    read_files: int
    rows: int
    accepted: int
    rejected: Mapping[str, int]
    unused: tuple[str, ...]


@dataclass(frozen=True)
class ColumnFacts:
    """A used column. type : of its values, whatever the file stores. low, high : empty where there is no order."""

    name: str
    roles: tuple[str, ...]
    type: str
    missing_share: float
    values: int
    low: str
    high: str
    examples: tuple[str, ...]


@dataclass(frozen=True)
class TimeFacts:
    """First and last time; median distance of consecutive rows of a segment in days, and the frequency that fits it."""

    first: str
    last: str
    frequency: str
    distance_days: float | None
    fitting: str | None


@dataclass(frozen=True)
class SegmentFacts:
    """Segments and their rows. short : fewer than min_rows. ended : long before the newest row.

    repeated : rows whose (segment, period) another row has. below_minimum : share of the target's values.
    """

    count: int
    rows_min: int
    rows_median: float
    rows_max: int
    min_rows: int
    short: int
    ended: int
    repeated: int
    below_minimum: float | None


@dataclass(frozen=True)
class WindowFacts:
    """Scoring input or published actuals beside the training data.

    unseen : segments that the training data lack. covered : share of (segment, step) with a row, of the segments that
    have not ended; None where there are no steps.
    """

    segments: int
    unseen: int
    covered: float | None


@dataclass(frozen=True)
class Estimate:
    """What a run will take. models : of segments and of levels. backtest_fits : of all candidates.

    basis : what the figures were learnt from, in words. settings : fingerprint of those that they hold for.
    """

    models: int
    levels: int
    backtest_fits: int
    train_seconds: float
    score_seconds: float
    peak_memory_bytes: int
    lake_bytes: int
    workers: int
    basis: str = "built-in figures"
    settings: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything that a check found; None where the data did not allow to look."""

    fleet: str
    task: str
    sources: tuple[SourceFacts, ...]
    columns: tuple[ColumnFacts, ...]
    time: TimeFacts | None = None
    segments: SegmentFacts | None = None
    score: WindowFacts | None = None
    test: WindowFacts | None = None
    estimate: Estimate | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def task_type(self) -> TaskType:
        """The strategy of its task."""
        return task_type(self.task)

    @property
    def errors(self) -> int:
        """Number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)
