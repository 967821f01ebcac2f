"""Output of `myriad score` and `myriad accuracy`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from cli.views.tables import Section, print_sections
from domain.reporting.formatting import format_count, format_number, format_percent

__all__ = ["accuracy_document", "print_accuracy", "print_scores"]

_MAX_SEGMENTS = 20
_NUMBERS = frozenset({0, 2, 3, 4, 5, 6, 7, 8})


class _Delivered(Protocol):
    """Figures of a delivery to the fleet's sink."""

    @property
    def target(self) -> str: ...
    @property
    def jobs(self) -> int: ...
    @property
    def rows(self) -> int: ...


class _Scored(Protocol):
    """Figures of a scoring job."""

    @property
    def job_id(self) -> str: ...
    @property
    def release(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def statuses(self) -> Mapping[str, int]: ...
    @property
    def levels(self) -> Mapping[str, int]: ...
    @property
    def repeated(self) -> bool: ...
    @property
    def as_of(self) -> str | None: ...
    @property
    def in_sample(self) -> int: ...
    @property
    def standing(self) -> int: ...
    @property
    def delivery(self) -> _Delivered | None: ...


def print_scores(summaries: Sequence[_Scored]) -> None:
    """Print one line per job, with notable details below it."""
    for summary in summaries:
        date = f"as of {summary.as_of}: " if summary.as_of else ""
        repeated = " (committed before)" if summary.repeated else ""
        counts = f"{format_count(summary.rows, 'row')} of {format_count(summary.segments, 'segment')}"
        print(f"{date}{counts}, release {summary.release}, job {summary.job_id}{repeated}")
        for line in _details(summary):
            print(f"  {line}")


def _details(summary: _Scored) -> Iterator[str]:
    other = {status: rows for status, rows in summary.statuses.items() if status != "ok"}
    if other:
        yield ", ".join(f"{rows:,} rows {status}" for status, rows in sorted(other.items()))
    fallbacks = {level: rows for level, rows in summary.levels.items() if level}
    if fallbacks:
        yield "fallback: " + ", ".join(f"{rows:,} rows by {level}" for level, rows in sorted(fallbacks.items()))
    if summary.in_sample:
        yield f"{summary.in_sample:,} rows are in-sample: their models were trained on later rows"
    if summary.standing:
        yield f"{summary.standing:,} rows skipped: newer forecasts from the same origin exist"
    if summary.delivery:
        jobs = format_count(summary.delivery.jobs, "job")
        yield f"delivered {format_count(summary.delivery.rows, 'row')} of {jobs} to {summary.delivery.target}"


def print_accuracy(rows: pa.Table, by: str) -> None:
    """Print one line per step, segment or release; segments with the largest errors come first."""
    if by == "segment":
        rows = rows.sort_by([("absolute_error", "descending"), ("segment", "ascending")])
    visible = rows.slice(0, _MAX_SEGMENTS) if by == "segment" else rows
    header = (by, "model", "rows", "wape", "mae", "rmse", "bias", "smape", "coverage")
    lines = [_line(row, by) for row in visible.to_pylist()]
    numbers = _NUMBERS - {0} if by == "segment" else _NUMBERS
    print_sections(
        [Section(f"accuracy by {by}, {format_count(pc.sum(rows['rows']).as_py(), 'row')}", lines, header, numbers)]
    )
    if rows.num_rows > len(lines):
        print(f"and {rows.num_rows - len(lines):,} more with smaller errors; --json lists all")
    if pc.any(rows["in_sample"]).as_py():
        print("in sample: the model was trained on rows after the origin, so its errors are too optimistic")


def _line(row: Mapping[str, Any], by: str) -> tuple[str, ...]:
    value = "-" if row[by] is None else str(row[by])
    figures = (format_number(row[name]) for name in ("wape", "mae", "rmse", "bias", "smape"))
    return (
        value,
        "in sample" if row["in_sample"] else "",
        f"{row['rows']:,}",
        *figures,
        format_percent(row["coverage"]),
    )


def accuracy_document(rows: pa.Table, by: str, fleet: str, release: int | None) -> dict[str, object]:
    """Build the JSON document with all rows."""
    return {"fleet": fleet, "by": by, "release": release, "rows": rows.to_pylist()}
