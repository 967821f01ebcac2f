"""Limits of what clients may leave with the gateway, and how long it is kept."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Quotas", "Retention"]


@dataclass(frozen=True)
class Quotas:
    """Limits per client, and of files per trigger.

    queued_jobs : jobs that have not ended. kept_jobs : jobs on record, ended ones included. upload_bytes : uploads that
    are kept. waiting_files : files of a trigger that no job has yet.
    """

    queued_jobs: int = 100
    kept_jobs: int = 100_000
    upload_bytes: int = 2 << 30
    waiting_files: int = 100_000


@dataclass(frozen=True)
class Retention:
    """Times after which records are deleted.

    records : of ended jobs, ended deliveries, files of triggers that have a job, and audit entries.

    uploads : of uploads that no unfinished job names.
    """

    records: timedelta = timedelta(days=90)
    uploads: timedelta = timedelta(days=7)
