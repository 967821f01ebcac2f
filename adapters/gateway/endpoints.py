"""Repository of batch endpoints."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of
from adapters.gateway.tables import ENDPOINTS, HOOKS, JOBS, SUBSCRIPTIONS
from domain.errors import InUseError, RecordError, first_line
from domain.gateway.jobs import FINAL, BatchEndpoint
from domain.gateway.subscriptions import Subscription
from domain.gateway.triggers import Trigger

__all__ = ["EndpointRepository"]


class EndpointRepository:
    """Batch endpoints by name, with a version that counts their changes."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def all(self) -> dict[str, tuple[BatchEndpoint, int]]:
        """Return every endpoint that can be read, and its version, by name."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(ENDPOINTS).order_by(ENDPOINTS.c.name)).mappings().all()
        endpoints = ((row["name"], self._database.readable(f"endpoint {row['name']}", _parse, row)) for row in rows)
        return {name: endpoint for name, endpoint in endpoints if endpoint is not None}

    def get(self, name: str) -> tuple[BatchEndpoint, int] | None:
        """Return an endpoint and its version; None if there is none of this name.

        Raises
        ------
        RecordError
            If its record cannot be read; it can be replaced.
        """
        with self._database.begin() as connection:
            row = connection.execute(sa.select(ENDPOINTS).where(ENDPOINTS.c.name == name)).mappings().first()
        try:
            return _parse(row) if row else None
        except ValidationError as exc:
            raise RecordError(
                f"endpoint {name}: its record cannot be read: {first_line(exc)}; write it again with "
                f"PUT /v1/batch/{name}"
            ) from exc

    def put(self, name: str, endpoint: BatchEndpoint, based_on: int | None = None) -> int | None:
        """Write an endpoint and return its new version.

        based_on : the version that the client saw; None is returned, and nothing written, if it is another one by now.
        """
        values = {"definition": endpoint.model_dump_json(), "updated_at": text_of(now())}
        with self._database.begin() as connection:
            present = connection.execute(sa.select(ENDPOINTS.c.version).where(ENDPOINTS.c.name == name)).scalar()
            if based_on is not None and based_on != (present or 0):
                return None
            if present is None:
                new = self._database.insert(ENDPOINTS).values(name=name, version=1, **values).on_conflict_do_nothing()
                return 1 if connection.execute(new).rowcount else None
            change = sa.update(ENDPOINTS).where(ENDPOINTS.c.name == name, ENDPOINTS.c.version == present)
            changed = connection.execute(change.values(version=present + 1, **values)).rowcount
        return present + 1 if changed else None

    def delete(self, name: str, based_on: int | None = None) -> bool | None:
        """Delete an endpoint; False if there is none, None if the client saw another version. Its ended jobs stay.

        Raises
        ------
        InUseError
            If jobs that have not ended, triggers or subscriptions need it; the message names them.
        """
        with self._database.begin() as connection:
            self._database.take_turn(connection, f"endpoint {name}")
            present = connection.execute(sa.select(ENDPOINTS.c.version).where(ENDPOINTS.c.name == name)).scalar()
            if present is None:
                return False
            if based_on is not None and based_on != present:
                return None
            if users := self._users(connection, name):
                raise InUseError(f"endpoint {name}: it is needed by {', '.join(users)}; end or delete them first")
            same = (ENDPOINTS.c.name == name, ENDPOINTS.c.version == present)
            return True if connection.execute(sa.delete(ENDPOINTS).where(*same)).rowcount else None

    def _users(self, connection: sa.Connection, name: str) -> list[str]:
        """Return what needs an endpoint, in words."""
        unfinished = (JOBS.c.endpoint == name, JOBS.c.state.not_in(FINAL))
        count = connection.execute(sa.select(sa.func.count()).where(*unfinished)).scalar() or 0
        users = [f"{count} job{'' if count == 1 else 's'} that {'has' if count == 1 else 'have'} not ended"] * (
            count > 0
        )
        for table, kind, model in ((HOOKS, "trigger", Trigger), (SUBSCRIPTIONS, "subscription", Subscription)):
            for row in connection.execute(sa.select(table).order_by(table.c.name)).mappings():
                parse = partial(_named_endpoint, model)
                if self._database.readable(f"{kind} {row['name']}", parse, row) == name:
                    users.append(f"{kind} {row['name']}")
        return users


def _named_endpoint(model: type[Trigger] | type[Subscription], row: Mapping[Any, Any]) -> str | None:
    return model.model_validate_json(row["definition"]).endpoint


def _parse(row: Mapping[Any, Any]) -> tuple[BatchEndpoint, int]:
    return BatchEndpoint.model_validate_json(row["definition"]), row["version"]
