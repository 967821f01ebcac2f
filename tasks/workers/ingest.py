"""Ingest one raw file: read, validate, stage accepted and rejected rows."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa

from adapters.lake.files import STORAGE_ERRORS
from adapters.lake.local_files import confined_to
from adapters.lake.staged_file import StagedFile
from adapters.sources.kinds import kind_of
from adapters.sources.protocol import SourceInput
from adapters.sources.reader import read_chunks
from domain.config.fleet import Fleet
from domain.config.source import Source
from domain.data.shown import shown
from domain.data.tables import QUARANTINE, landed
from domain.data.validation import rejected_table, validate_rows
from domain.errors import SourceError
from tasks.workers.run_context import RunContext, stage_rows, with_constants

__all__ = ["FileReceipt", "Role", "content_id", "ingest_file", "landing_table", "reading", "refuse_file"]

Role = Literal["observations", "requests", "actuals"]
"""Rows to train on, rows to score, or actuals that only reports read."""

_UNFORESEEN = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
_MOST_CAUSE = 300
"""Characters of an error that may quote the file."""
log = logging.getLogger(__name__)
_DIGEST = 16  # hex digits of `digest`, which every input id begins with; see `SourceKind.content`
_TABLES: dict[Role, str] = {"observations": "landed", "requests": "requests", "actuals": "actuals"}


def landing_table(role: Role) -> str:
    """Name of the table that files of a role land in."""
    return _TABLES[role]


def reading(fleet: Fleet, role: Role, source: Source) -> str:
    """Identity of how the fleet reads its files: columns, time, separators. Another one means to read them again.

    The rows of a regression fleet that were to be scored keep theirs: what has been scored is not scored twice.
    """
    if role == "requests" and not fleet.task_type.periodic:
        return ""
    time = fleet.time and fleet.time.model_dump(exclude={"season", "gaps"})
    if fleet.time and time and fleet.time.rule.is_clock:
        # Hours and minutes without a zone are in UTC, as ever; dates are those that the file writes, by now.
        time["zone"] = fleet.time.zone_name
    how = source.model_dump(exclude={"path", "version", "overlap", "timeout"}) | {"time": time}
    what = fleet.model_dump(include={"segment_by", "row_key"}) | {"target": fleet.target.column}
    features: list[object] = [fleet.features.numeric, fleet.features.categorical]
    refused = sorted(name for name, rule in fleet.features.missing.items() if rule == "reject")
    features += [refused] if refused else []
    if counted := [name for name in (*fleet.features.numeric, fleet.target.column) if name not in fleet.numbers]:
        what["counted"] = counted
    content = json.dumps([how, what, features], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=4).hexdigest()


def content_id(input_id: str) -> str:
    """The part of an input's identity that is its content, however the fleet reads it."""
    return input_id[:_DIGEST]


@dataclass(frozen=True)
class FileReceipt:
    """Result of ingesting one file. error : why the file as a whole was refused; empty if it was not.

    remarks : what the file leaves open, so that somebody should look at it.
    """

    file: SourceInput
    input_id: str
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[StagedFile, ...] = ()
    quarantined: tuple[StagedFile, ...] = ()
    error: str = ""
    remarks: tuple[str, ...] = ()


def ingest_file(context: RunContext, role: Role, source: Source, file: SourceInput) -> FileReceipt:
    """Read and validate one file; a file that cannot be read is a receipt with an error, not an exception."""
    input_id = ""
    try:
        with confined_to(context.roots), kind_of(file).held_still(file):
            input_id = kind_of(file).content(file, source, context.fleet.columns) + reading(context.fleet, role, source)
            return _ingest(context, role, source, file, input_id)
    except SourceError as exc:
        error = str(exc)
    except (*STORAGE_ERRORS, pa.ArrowException) as exc:
        error = f"{file.uri}: cannot be read: {exc}"
    except _UNFORESEEN as exc:
        # Whatever a file contains, it must not stop the others; the log has where it happened.
        log.exception("%s: not ingested", file.uri)
        error = f"{file.uri}: cannot be read: {type(exc).__name__}: {shown(str(exc), _MOST_CAUSE)}"
    return refuse_file(context, role, file, input_id, "unreadable_file", error)


def refuse_file(
    context: RunContext, role: Role, file: SourceInput, input_id: str, reason: str, error: str
) -> FileReceipt:
    """A receipt without rows, and an entry in the quarantine that says why."""
    content = json.dumps({"file": file.uri})
    rejected = rejected_table([reason], [error], np.array([-1]), [content])
    rejected = with_constants(rejected, path=file.uri, input_id=input_id)
    staged = context.table(QUARANTINE).stage(rejected, stage=role, part=f"{file.path_id}-unreadable")
    return FileReceipt(file, input_id, quarantined=(staged,), error=error)


def _ingest(context: RunContext, role: Role, source: Source, file: SourceInput, input_id: str) -> FileReceipt:
    fleet, table = context.fleet, context.table(landed(context.fleet, landing_table(role)))
    needed = [name for name in fleet.columns if name != fleet.target.column]
    target = [fleet.target.column]
    required = needed + target if role != "requests" else needed
    counts: Counter[str] = Counter()
    rows: list[StagedFile] = []
    quarantined: list[StagedFile] = []
    read = accepted = 0
    remarks: tuple[str, ...] = ()
    now = datetime.now(UTC) if role != "requests" else None
    for chunk in read_chunks(file, source, required, numbers=fleet.numbers):
        result = validate_rows(chunk.table, chunk.rows, fleet, needs_target=role != "requests", now=now)
        broken = rejected_table(
            ["unparsable"] * len(chunk.broken),
            [chunk.broken_because] * len(chunk.broken),
            np.array([row for row, _ in chunk.broken], dtype=np.int64),
            [text for _, text in chunk.broken],
        )
        remarks = chunk.remarks
        read += chunk.table.num_rows + len(chunk.broken)
        accepted += result.accepted.num_rows
        rows += [table.stage(with_constants(result.accepted, path=file.uri), path_id=file.path_id, input_id=input_id)]
        for rejected in (result.rejected, broken):
            counts.update(rejected["reason"].to_pylist())
            marked = with_constants(rejected, path=file.uri, input_id=input_id)
            quarantined += stage_rows(context.table(QUARANTINE), marked, stage=role, part=file.path_id)
    return FileReceipt(
        file,
        input_id,
        read,
        accepted,
        sum(counts.values()),
        dict(counts),
        tuple(rows),
        tuple(quarantined),
        remarks=remarks,
    )
