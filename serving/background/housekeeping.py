"""Delete what is older than its time of retention: records, and uploads that no unfinished job names."""

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

from adapters.gateway.retention import prune_records
from adapters.gateway.store import GatewayStore
from adapters.lake.table import Lake
from adapters.lake.uploads import SCHEME, delete_upload, uploads_before
from domain.gateway.quotas import Retention
from serving.background.failures import Failures

__all__ = ["Housekeeping"]

_EVERY = timedelta(hours=1)
_REMEMBERED = timedelta(days=8)
"""How long message ids are kept: senders retry for days at most, and signatures hold for minutes."""
_LOG = logging.getLogger("myriad.gateway")


class Housekeeping:
    """Prunes once an hour; a part that fails is tried again, and leaves the others alone."""

    def __init__(self, store: GatewayStore, lake: Lake, retention: Retention) -> None:
        self._store, self._lake, self._retention = store, lake, retention
        self._failures = Failures()
        self._next = datetime.min.replace(tzinfo=UTC)

    def step(self, now: datetime) -> None:
        """Prune if an hour has passed. Raises GatewayError if the database fails."""
        if now < self._next:
            return
        self._next = now + _EVERY
        for label, action in (("messages", self._messages), ("records", self._records), ("uploads", self._uploads)):
            self._failures.attempt(f"retention of {label}", now, partial(action, now))

    def _messages(self, now: datetime) -> None:
        self._store.triggers.forget_messages(now - _REMEMBERED)

    def _records(self, now: datetime) -> None:
        counts = prune_records(self._store.database, now - self._retention.records)
        if sum(counts.values()):
            _LOG.info("retention: deleted %s", ", ".join(f"{count:,} {name}" for name, count in counts.items()))

    def _uploads(self, now: datetime) -> None:
        before = now - self._retention.uploads
        needed = {
            (job.fleet, uri)
            for job in self._store.jobs.unfinished()
            for uri in job.request.inputs
            if uri.startswith(SCHEME)
        }
        count = self._store.uploads.prune(before, needed)
        files = 0
        for fleet in self._lake.fleets():
            recorded = self._store.uploads.all(fleet)
            for uri in uploads_before(self._lake, fleet, before):
                # Uploads of earlier versions have no record.
                if uri not in recorded and (fleet, uri) not in needed:
                    delete_upload(self._lake, fleet, uri)
                    files += 1
        if count or files:
            _LOG.info("retention: deleted %s uploads, %s files", f"{count:,}", f"{files:,}")
