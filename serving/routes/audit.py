"""Route of the audit log."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from serving.auth import Client, allow
from serving.problem_details import answers
from serving.routes.parameters import Deps

__all__ = ["router"]

router = APIRouter(prefix="/v1/audit", tags=["audit"], responses=answers(401, 403, 413, 422, 429, 503))


class Entry(BaseModel):
    """An action of a client. client : `cli` for commands, `hook NAME` for a trigger. endpoint : null if about none."""

    at: datetime
    client: str
    action: str
    target: str
    detail: dict[str, Any]
    endpoint: str | None


class Audit(BaseModel):
    """Entries, newest first."""

    entries: list[Entry]


@router.get("")
def read_audit(
    deps: Deps,
    client: Annotated[Client, Depends(allow("admin"))],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Audit:
    """List the actions of clients, newest first; a key for certain endpoints sees those about its endpoints."""
    rows = deps.store.audit.newest(limit, client.endpoints)
    return Audit(entries=[Entry.model_validate({name: row[name] for name in Entry.model_fields}) for row in rows])
