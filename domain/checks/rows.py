"""Rows of a source, validated as an ingest would: the rows it would reject, and the reasons."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from domain.calendar.time_range import STRAY, stray_rows
from domain.checks.columns import fleet_of_role, keys_by_column, required_columns
from domain.checks.findings import Problem, Role, SourceFacts, SourceSample
from domain.config.fleet import Fleet
from domain.data.partitioning import run_length_encode
from domain.data.segments import parse_segment
from domain.data.validation import validate_rows
from domain.data.yes_no import CLOSEST, is_yes_or_no
from domain.reporting.formatting import format_count, format_percent

__all__ = ["ValidatedSample", "row_problems", "source_facts", "validate_sample"]

_WARNING_SHARE = 0.05


@dataclass(frozen=True)
class ValidatedSample:
    """Accepted and rejected rows of a sample.

    accepted : as validate_rows returns them. rejected : (reason, detail) -> rows.
    examples : (reason, detail) -> content of one such row.
    """

    accepted: pa.Table
    rejected: Mapping[tuple[str, str], int]
    examples: Mapping[tuple[str, str], Mapping[str, object]]

    @property
    def rows(self) -> int:
        """Number of rows, accepted and rejected."""
        return int(self.accepted.num_rows) + sum(self.rejected.values())


def validate_sample(
    sample: SourceSample, fleet: Fleet, role: Role, now: datetime | None = None
) -> ValidatedSample | None:
    """Validate a sample's rows; None if it has none, or lacks a required column. now : see `validate_rows`."""
    required = required_columns(fleet, role)
    if not sample.chunks or any(name not in chunk.column_names for chunk in sample.chunks for name in required):
        return None
    role_fleet, accepted = fleet_of_role(fleet, role), []
    rejected: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], Mapping[str, object]] = {}
    for chunk in sample.chunks:
        trains = role != "score.source"
        result = validate_rows(
            chunk, np.arange(chunk.num_rows), role_fleet, needs_target=trains, now=now if trains else None
        )
        accepted.append(result.accepted)
        columns = result.rejected.select(["reason", "detail", "content"]).to_pydict()
        for reason, detail, content in zip(*columns.values(), strict=True):
            rejected[reason, detail] += 1
            if (reason, detail) not in examples:
                examples[reason, detail] = json.loads(content)
    if sample.broken:
        rejected["unparsable", sample.broken_because] = sample.broken
    checked = ValidatedSample(pa.concat_tables(accepted), rejected, examples)
    return _without_strays(checked, role_fleet) if role == "source" else checked


def _without_strays(checked: ValidatedSample, fleet: Fleet) -> ValidatedSample:
    """Reject rows that lie years away from the others of their segment, as partitioning would."""
    if not fleet.task_type.periodic or not checked.accepted.num_rows:
        return checked
    rows = checked.accepted.sort_by([("segment", "ascending"), ("time", "ascending")])
    stray = stray_rows(rows["time"].to_numpy(), *run_length_encode(rows["segment"]), fleet)
    if not stray.any():
        return checked
    key, column = ("time_range", STRAY), fleet.clock.column
    first = rows.filter(pa.array(stray)).slice(0, 1).to_pylist()[0]
    example = {column: f"{first['time']:%Y-%m-%d}"} | parse_segment(first["segment"])
    return ValidatedSample(
        rows.filter(pa.array(~stray)),
        {**checked.rejected, key: int(stray.sum())},
        {**checked.examples, key: example},
    )


def source_facts(sample: SourceSample, checked: ValidatedSample | None, fleet: Fleet, role: Role) -> SourceFacts:
    """Facts of a source's files and of the rows read from them."""
    used = set(required_columns(fleet, role))
    names = dict.fromkeys(name for file in sample.named for name in file.columns)
    rejected = dict(sorted(checked.rejected.items(), key=lambda item: -item[1])) if checked else {}
    return SourceFacts(
        role=role,
        path=sample.path,
        files=sample.files,
        size_bytes=sample.size,
        whole=sample.whole,
        read_files=sample.read_files,
        rows=checked.rows if checked else sum(chunk.num_rows for chunk in sample.chunks),
        accepted=checked.accepted.num_rows if checked else 0,
        rejected={f"{reason}: {detail}": count for (reason, detail), count in rejected.items()},
        unused=tuple(name for name in names if name not in used),
    )


def row_problems(checked: ValidatedSample, fleet: Fleet, role: Role) -> Iterator[Problem]:
    """Reasons that reject many rows, each with the way out."""
    if not checked.rows:
        yield Problem("error", role, "the files have no rows")
    for (reason, detail), count in sorted(checked.rejected.items(), key=lambda item: -item[1]):
        share = count / checked.rows
        if share < _WARNING_SHARE and reason != "time_range":
            continue
        if reason == "time_range":
            yield _range_problem(checked, fleet, detail, count)
            continue
        column = _column(detail, fleet, role)
        keys = keys_by_column(fleet, role).get(column, (role,))
        example = checked.examples.get((reason, detail), {}).get(column)
        shown = f", such as {str(example)[:60]!r}" if example not in (None, "") else ""
        way_out = _way_out(reason, keys[0])
        if reason == "unparsable" and keys[0] == "target.column" and is_yes_or_no(str(example)):
            way_out = f"it seems to say yes or no, and {CLOSEST}"
        prefix = "" if role == "source" else f"{role}: "
        yield Problem(
            "warning" if share < 1 else "error",
            keys[0],
            f"{prefix}{format_percent(share, 1)} of the rows are rejected: {detail}{shown}; {way_out}",
        )
    if checked.rows and not checked.accepted.num_rows and max(checked.rejected.values()) < checked.rows:
        yield Problem("error", role, f"none of {checked.rows:,} rows is usable, for the reasons above")


def _range_problem(checked: ValidatedSample, fleet: Fleet, detail: str, count: int) -> Problem:
    """Name the rows by one of them: its time, and its segment."""
    example = checked.examples.get(("time_range", detail), {})
    keys = ", ".join(f"{name} {str(example[name])[:40]!r}" for name in fleet.segment_by if name in example)
    named = f"{str(example.get(fleet.clock.column))[:40]!r}{' of ' if keys else ''}{keys}"
    message = f"{format_count(count, 'row')} with a time that can hardly be meant, such as {named}: {detail}"
    way_out = "quarantined; correct such rows, or set validation.time_range: off if they are right"
    return Problem("warning", "validation.time_range", f"{message}; {way_out}")


def _column(detail: str, fleet: Fleet, role: Role) -> str:
    """The column that a rejection names; the longest that fits, since one name may begin with another."""
    return max((name for name in required_columns(fleet, role) if detail.startswith(f"{name} ")), key=len, default="")


def _way_out(reason: str, key: str) -> str:
    if reason == "unparsable" and key == "time.column":
        return "give time.format, a strptime format such as %d/%m/%Y"
    if reason == "unparsable" and key == "features.known":
        return "move the column to features.categorical, or list texts for missing values in source.null_values"
    if reason == "unparsable":
        return "list texts for missing values in source.null_values, or check source.delimiter"
    if reason == "inexact_key":
        return "store ids as integers or text: missing values often turn a column of integers into floats"
    if reason == "null_target":
        return "fine if there was nothing to observe; otherwise fill it in first"
    if reason == "missing_key":
        return "fill it in first, use another column, or remove texts that are real values from source.null_values"
    return "correct the files"
