"""Repository of the audit log."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of
from adapters.gateway.tables import AUDIT

__all__ = ["AuditRepository"]


class AuditRepository:
    """Who did what, in order."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def record(self, client: str, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add an entry; details must hold no secret."""
        values = {"at": text_of(now()), "client": client, "action": action, "target": target[:255]}
        with self._database.begin() as connection:
            connection.execute(sa.insert(AUDIT).values(**values, detail=json.dumps(detail or {})))

    def newest(self, limit: int) -> list[Mapping[str, Any]]:
        """Return the newest entries, last one first: at, client, action, target, detail."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)).mappings().all()
        return [{**row, "detail": json.loads(row["detail"])} for row in rows]
