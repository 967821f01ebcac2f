"""Repository of scoring jobs.

A job is written before anything is done for it, under a unique idempotency key: neither a client that asks twice nor a
gateway that dies makes two of it.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.deliveries import DeliveryRepository
from adapters.gateway.records import JobRecord, Page, job_of, job_row, now, text_of
from adapters.gateway.tables import JOBS
from domain.errors import QuotaError, RecordError, first_line
from domain.gateway.jobs import FINAL, request_digest
from domain.gateway.quotas import Quotas

__all__ = ["JobRepository", "insert_job"]

_UNREADABLE = "its record cannot be read"


def insert_job(job: JobRecord) -> sa.Insert:
    """Return the insert of a job, for a transaction that does more."""
    return sa.insert(JOBS).values(**job_row(job), digest=request_digest(job.request))


class JobRepository:
    """Scoring jobs. A change of state that ends a job puts its announcement on record in the same transaction."""

    def __init__(self, database: GatewayDatabase, deliveries: DeliveryRepository) -> None:
        self._database, self._deliveries = database, deliveries

    def add(self, job: JobRecord, quotas: Quotas | None = None) -> tuple[JobRecord, bool]:
        """Write a job, unless the client has one under the same idempotency key; the job, and whether it is new.

        Parameters
        ----------
        quotas : limits of the client's jobs.

        Raises
        ------
        QuotaError
            If the client has as many jobs as it may.
        """
        try:
            with self._database.begin() as connection:
                if quotas is not None:
                    self._database.take_turn(connection, f"jobs of {job.client}")
                # Written before it is counted: two jobs at once do not both take the last place.
                connection.execute(insert_job(job))
                if quotas is not None:
                    _check_quotas(connection, job.client, quotas)
        except IntegrityError:
            if job.idempotency_key is None:
                raise
            former = self.find(job.endpoint, job.client, job.idempotency_key)
            if former is None:
                raise
            return former, False
        return job, True

    def find(self, endpoint: str, client: str, idempotency_key: str) -> JobRecord | None:
        """Return a client's job at an endpoint by its idempotency key."""
        c = JOBS.c
        return self._first(c.endpoint == endpoint, c.client == client, c.idempotency_key == idempotency_key)

    def get(self, job_id: str) -> JobRecord | None:
        """Return a job by its id."""
        return self._first(JOBS.c.id == job_id)

    def unfinished(self) -> list[JobRecord]:
        """Return the jobs that are not final, oldest first; a job whose record cannot be read ends as failed."""
        query = sa.select(JOBS).where(JOBS.c.state.not_in(sorted(FINAL))).order_by(JOBS.c.number)
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        jobs = [(row["number"], self._database.readable(f"job {row['id']}", job_of, row)) for row in rows]
        if odd := [number for number, job in jobs if job is None]:
            values = {"state": "failed", "reason": _UNREADABLE, "finished_at": text_of(now())}
            with self._database.begin() as connection:
                connection.execute(sa.update(JOBS).where(JOBS.c.number.in_(odd)).values(**values))
        return [job for _, job in jobs if job is not None]

    def page(
        self,
        endpoint: str,
        limit: int,
        after: int | None = None,
        state: str | None = None,
        deployment: str | None = None,
    ) -> Page:
        """Return jobs of an endpoint, newest first. after : the `after` of the page before."""
        query = sa.select(JOBS).where(JOBS.c.endpoint == endpoint)
        filters = {"state": state, "deployment": deployment}
        query = query.where(*(JOBS.c[name] == value for name, value in filters.items() if value is not None))
        if after is not None:
            query = query.where(JOBS.c.number < after)
        with self._database.begin() as connection:
            rows = connection.execute(query.order_by(JOBS.c.number.desc()).limit(limit + 1)).mappings().all()
        read = (self._database.readable(f"job {row['id']}", job_of, row) for row in rows[:limit])
        return Page([job for job in read if job is not None], rows[limit - 1]["number"] if len(rows) > limit else None)

    def change(self, job: JobRecord, **changes: Any) -> JobRecord | None:
        """Change a job; None if its state or attempt has been changed by another gateway since it was read."""
        columns, changed = JOBS.c, replace(job, **changes)
        row = job_row(changed)
        query = sa.update(JOBS).where(columns.id == job.id, columns.state == job.state, columns.attempt == job.attempt)
        with self._database.begin() as connection:
            count = connection.execute(query.values({name: row[name] for name in changes})).rowcount
            if count and changed.final and not job.final:
                self._deliveries.announce_job(connection, changed)
        return changed if count else None

    def _first(self, *where: sa.ColumnElement[bool]) -> JobRecord | None:
        with self._database.begin() as connection:
            row = connection.execute(sa.select(JOBS).where(*where)).mappings().first()
        try:
            return job_of(row) if row else None
        except (LookupError, TypeError, ValueError) as exc:
            raise RecordError(f"job {row['id'] if row else ''}: {_UNREADABLE}: {first_line(exc)}") from exc


def _check_quotas(connection: sa.Connection, client: str, quotas: Quotas) -> None:
    mine = sa.select(sa.func.count()).where(JOBS.c.client == client)
    queued = connection.execute(mine.where(JOBS.c.state.not_in(sorted(FINAL)))).scalar() or 0
    if queued > quotas.queued_jobs:
        raise QuotaError(
            f"client {client} has {queued - 1:,} jobs that have not ended, and {quotas.queued_jobs:,} are allowed "
            "(MYRIAD_GATEWAY_QUEUED_JOBS); wait for one, or cancel one"
        )
    recorded = connection.execute(mine).scalar() or 0
    if recorded > quotas.kept_jobs:
        raise QuotaError(
            f"client {client} has {recorded - 1:,} jobs on record, and {quotas.kept_jobs:,} are allowed "
            "(MYRIAD_GATEWAY_KEPT_JOBS); older ones are deleted after MYRIAD_GATEWAY_RETENTION_DAYS"
        )
