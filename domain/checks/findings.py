"""Input and output of a check of a fleet: samples of its files, and the facts and problems found in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from domain.config.task_types import TaskType, task_type
from domain.data.jsonable import LATER

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
    """A raw file and its column names. hint : where the columns are that it lacks."""

    name: str
    columns: tuple[str, ...]
    hint: str = ""


@dataclass(frozen=True)
class SourceSample:
    """Rows read from one source; only `error` is set if its files cannot be listed or read.

    files, size : number of files and bytes as stored, of the whole source.
    named : files whose columns were read.
    chunks : rows of the files that have all required columns, else of the columns they have; types may differ.
    read_files, share_read : number of files read, and their approximate share of all rows. whole : every row of every
    file was read.
    broken : rows that cannot be told apart into columns, and why that is. remarks : what the files leave open.
    awaited : the source has no file yet, which it need not have.
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
    broken_because: str = ""
    remarks: tuple[str, ...] = ()
    unused: Mapping[str, int] = field(default_factory=dict)
    head_rows: int = 0
    error: str = ""
    awaited: str = ""


@dataclass(frozen=True)
class Problem:
    """A problem and the key of the fleet file that it concerns.

    error : the run would fail or be pointless. warning : it would run, but deserves a look first.
    """

    severity: Literal["error", "warning"]
    key: str
    message: str


@dataclass(frozen=True)
class SourceFacts:
    """Files of a source and the rows read from them.

    rejected : `reason: detail` -> rows. rows = accepted + rejected.
    """

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
    """A used column.

    type : of its values, whatever type the file stores. low, high : empty where values have no order.
    """

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
    """Range of the times, and the median distance between rows of a segment in days with the frequency that fits."""

    first: str
    last: str
    frequency: str
    distance_days: float | None
    fitting: str | None


@dataclass(frozen=True)
class SegmentFacts:
    """Numbers of segments and of their rows.

    short : segments with fewer than min_rows. ended : segments that ended long before the newest row.
    repeated : rows that repeat a (segment, period). below_minimum : share of the target's values below its minimum.
    merged : rows that `aggregate` adds to another of their period.
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
    merged: int = field(default=0, metadata=LATER)


@dataclass(frozen=True)
class WindowFacts:
    """Scoring input or published actuals compared with the training data.

    unseen : segments missing from the training data. covered : share of (segment, step) with a row, over the segments
    that have not ended; None where there are no steps.
    """

    segments: int
    unseen: int
    covered: float | None


@dataclass(frozen=True)
class Estimate:
    """Estimated time, memory and disk of a run.

    models : of segments and of fallback levels. backtest_fits : over all candidates.
    basis : origin of the figures, as text. settings : fingerprint of the settings that the figures apply to.
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
    """All facts and problems of a check; facts are None where the data do not allow a look."""

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
        """The strategy of the fleet's task."""
        return task_type(self.task)

    @property
    def errors(self) -> int:
        """Number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)
