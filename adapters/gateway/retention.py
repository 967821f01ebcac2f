"""Delete records of the gateway's database that are older than their time of retention."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import text_of
from adapters.gateway.tables import AUDIT, DELIVERIES, FILES, JOBS
from domain.gateway.jobs import FINAL

__all__ = ["prune_records"]

_AT_ONCE = 5_000
"""Rows per transaction: clients wait for none for long."""


def prune_records(database: GatewayDatabase, before: datetime) -> Mapping[str, int]:
    """Delete ended jobs and deliveries, files of triggers that have a job, and audit entries from before a time.

    Returns the number of rows by table.
    """
    time = text_of(before)
    ended = sa.func.coalesce(JOBS.c.finished_at, JOBS.c.created_at)
    conditions = (
        (JOBS, (JOBS.c.state.in_(sorted(FINAL)), ended < time)),
        (DELIVERIES, (DELIVERIES.c.state.in_(("delivered", "dead")), DELIVERIES.c.due_at < time)),
        (AUDIT, (AUDIT.c.at < time,)),
    )
    counts = {table.name: sum(_batches(database, table, where)) for table, where in conditions}
    with database.begin() as connection:
        old = sa.delete(FILES).where(FILES.c.job.is_not(None), FILES.c.received_at < time)
        counts[FILES.name] = connection.execute(old).rowcount
    return counts


def _batches(database: GatewayDatabase, table: sa.Table, where: tuple[sa.ColumnElement[bool], ...]) -> Iterator[int]:
    while True:
        numbers = sa.select(table.c.number).where(*where).limit(_AT_ONCE)
        with database.begin() as connection:
            count = connection.execute(sa.delete(table).where(table.c.number.in_(numbers))).rowcount
        yield count
        if count < _AT_ONCE:
            return
