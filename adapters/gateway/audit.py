"""Repository of the audit log."""

import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of, timestamp_of
from adapters.gateway.tables import AUDIT

__all__ = ["AuditRepository"]


class AuditRepository:
    """Actions of clients, in order."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def record(
        self,
        client: str,
        action: str,
        target: str,
        detail: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Add an entry; details must hold no secret.

        Parameters
        ----------
        endpoint : the endpoint that it is about; clients that are restricted to others do not see it.
        """
        values = {"at": text_of(now()), "client": client, "action": action, "target": target[:255]}
        values |= {"detail": json.dumps(detail or {}), "endpoint": endpoint}
        with self._database.begin() as connection:
            connection.execute(sa.insert(AUDIT).values(**values))

    def newest(self, limit: int, endpoints: Collection[str] = ()) -> list[Mapping[str, Any]]:
        """Return the newest entries, last one first: at, client, action, target, detail, endpoint.

        Parameters
        ----------
        endpoints : only entries about these; none means all entries.
        """
        query = sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        if endpoints:
            query = query.where(AUDIT.c.endpoint.in_(sorted(endpoints)))
        with self._database.begin() as connection:
            rows = connection.execute(query).mappings().all()
        entries = (self._database.readable(f"audit entry {row['number']}", _entry, row) for row in rows)
        return [entry for entry in entries if entry is not None]


def _entry(row: Mapping[Any, Any]) -> Mapping[str, Any]:
    return {**row, "at": timestamp_of(row["at"]), "detail": _detail(row["detail"])}


def _detail(text: str) -> dict[str, Any]:
    """Return the details of an entry; one that cannot be read does not hide the others."""
    try:
        detail = json.loads(text)
    except (TypeError, ValueError):
        detail = None
    return detail if isinstance(detail, dict) else {"unreadable": str(text)[:200]}
