"""Keep a table of a database equal to the predictions in the lake: every job's rows once, in one transaction.

The ledger `myriad_deliveries`, beside the table, records the rows of every job that are there. A delivery compares it
with the lake: it writes jobs that are missing, replaces jobs whose rows have changed since (newer forecasts of the same
origin and release replace older ones), and removes those that are gone. So a delivery that failed is made up for by the
next one, whatever it was for, and a repeated one does nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pyarrow as pa

from adapters.databases.connection import Database, TableName, quoted
from adapters.databases.tables import FLEET, ensure_table
from domain.config.database import LEDGER
from domain.errors import DatabaseError

__all__ = ["Delivery", "JobRows", "deliver", "filled_by_sink"]

_TIME = pa.timestamp("us", tz="UTC")
_LEDGER_SCHEMA = pa.schema(
    {
        "target": pa.string(),
        "fleet": pa.string(),
        "job_id": pa.string(),
        "lake": pa.string(),
        "rows": pa.int64(),
        "run_id": pa.string(),
        "delivered_at": _TIME,
    }
)
_JOBS_AT_ONCE = 500
_OWN = "WHERE target = ? AND fleet = ?"


class JobRows(Protocol):
    """Predictions in the lake at one moment, with the columns of the table in the database."""

    lake: str
    """Identity of the lake's table, which survives a move of the lake."""
    schema: pa.Schema

    def counts(self) -> Mapping[str, int]:
        """Return the number of rows of every job."""
        ...

    def batches(self, jobs: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some jobs."""
        ...


@dataclass(frozen=True)
class Delivery:
    """Result of a delivery. jobs, rows : written. replaced : of these jobs, those that had been there already.

    removed : jobs that are not in the lake any more.
    """

    target: str
    jobs: int = 0
    rows: int = 0
    replaced: int = 0
    removed: int = 0


@dataclass(frozen=True)
class _Difference:
    """Jobs to write, of these the ones that are there with other rows, and jobs that are only in the database."""

    new: Sequence[str]
    changed: Sequence[str]
    gone: Sequence[str]


def deliver(database: Database, table: TableName, fleet: str, run_id: str, snapshot: Callable[[], JobRows]) -> Delivery:
    """Write to a table what it lacks of a fleet's predictions, all in one transaction.

    snapshot : called while the lock is held, so that of two deliveries at once the later one sees the newer lake.

    Raises
    ------
    DatabaseError
        The database refuses, the table lacks columns, or it holds predictions of the fleet from another lake.
    """
    shown = f"{database.address.shown}, table {table}"
    with database.transaction():
        database.lock(f"deliver {table.name} {fleet}")
        jobs, ledger = snapshot(), table.sibling(LEDGER)
        ensure_table(database, ledger, _LEDGER_SCHEMA, key=("target", "fleet", "job_id"))
        is_new = ensure_table(database, table, jobs.schema, index=(FLEET, "job_id"))
        if is_new:
            _forget(database, table, fleet)
        counts, recorded = jobs.counts(), _recorded(database, table, fleet, jobs.lake)
        if not recorded and not is_new:
            _refuse_unknown(database, table, fleet)
        difference = _difference(counts, recorded)
        half_removed = _present(database, table, fleet, difference.new) if recorded else []
        _remove(database, table, fleet, [*difference.changed, *difference.gone, *half_removed])
        written = [*difference.new, *difference.changed]
        rows = database.insert(table, jobs.schema, jobs.batches(written)) if written else 0
        if rows != (expected := sum(counts[job] for job in written)):
            raise DatabaseError(f"{shown}: {rows:,} rows were written instead of {expected:,}; nothing was changed")
        _record(database, ledger, [(table.name, fleet, job, jobs.lake, counts[job], run_id) for job in written])
    return Delivery(shown, len(written), rows, len(difference.changed), len(difference.gone))


def filled_by_sink(database: Database, table: TableName, fleet: str) -> bool:
    """Return whether deliveries have filled a table with rows of the fleet."""
    ledger = table.sibling(LEDGER)
    return bool(database.columns(ledger)) and bool(
        database.fetch(f"SELECT 1 FROM {ledger.sql} {_OWN} LIMIT 1", [table.name, fleet])  # noqa: S608
    )


def _recorded(database: Database, table: TableName, fleet: str, lake: str) -> Mapping[str, int]:
    """Return the rows of every job that is in the table."""
    ledger = table.sibling(LEDGER)
    query = f"SELECT job_id, rows, lake FROM {ledger.sql} {_OWN}"  # noqa: S608 - names are quoted
    rows = database.fetch(query, [table.name, fleet])
    if any(other != lake for _, _, other in rows):
        raise DatabaseError(
            f"{database.address.shown}: table {table} holds predictions of fleet {fleet} from another lake; name "
            f"another table in `sink.table`, or delete the rows WHERE fleet = '{fleet}' from {table} and {ledger}"
        )
    return {job: int(count) for job, count, _ in rows}


def _forget(database: Database, table: TableName, fleet: str) -> None:
    """Delete the records of a table that somebody has dropped, so that it is filled anew."""
    ledger = table.sibling(LEDGER)
    if filled_by_sink(database, table, fleet):
        database.execute(f"DELETE FROM {ledger.sql} {_OWN}", [table.name, fleet])  # noqa: S608


def _refuse_unknown(database: Database, table: TableName, fleet: str) -> None:
    """Refuse rows of the fleet that no delivery has written, which would be there twice: from an export, or by hand."""
    if database.fetch(f"SELECT 1 FROM {table.sql} WHERE {quoted(FLEET)} = ? LIMIT 1", [fleet]):  # noqa: S608
        raise DatabaseError(
            f"{database.address.shown}: table {table} has rows of fleet {fleet} that {table.sibling(LEDGER)} does not "
            f"know; delete the rows WHERE fleet = '{fleet}' from {table}, or name another table in `sink.table`"
        )


def _present(database: Database, table: TableName, fleet: str, jobs: Sequence[str]) -> list[str]:
    """Return the jobs that have rows in the table, such as those that were deleted from the ledger alone."""
    present = list[str]()
    for start in range(0, len(jobs), _JOBS_AT_ONCE):
        some = jobs[start : start + _JOBS_AT_ONCE]
        condition = f"{quoted(FLEET)} = ? AND job_id IN ({', '.join('?' * len(some))})"
        rows = database.fetch(f"SELECT DISTINCT job_id FROM {table.sql} WHERE {condition}", [fleet, *some])  # noqa: S608
        present += [str(job) for (job,) in rows]
    return present


def _difference(counts: Mapping[str, int], recorded: Mapping[str, int]) -> _Difference:
    new = [job for job in counts if job not in recorded]
    changed = [job for job, count in counts.items() if job in recorded and recorded[job] != count]
    return _Difference(new, changed, [job for job in recorded if job not in counts])


def _remove(database: Database, table: TableName, fleet: str, jobs: Sequence[str]) -> None:
    for job in jobs:
        database.execute(f"DELETE FROM {table.sql} WHERE {quoted(FLEET)} = ? AND job_id = ?", [fleet, job])  # noqa: S608
        ledger = table.sibling(LEDGER)
        database.execute(f"DELETE FROM {ledger.sql} {_OWN} AND job_id = ?", [table.name, fleet, job])  # noqa: S608


def _record(database: Database, ledger: TableName, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        moment = datetime.now(UTC)
        columns = [list(column) for column in zip(*rows, strict=True)] + [[moment] * len(rows)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _LEDGER_SCHEMA, strict=True)]
        batch = pa.record_batch(arrays, schema=_LEDGER_SCHEMA)
        database.insert(ledger, _LEDGER_SCHEMA, iter([batch]))
