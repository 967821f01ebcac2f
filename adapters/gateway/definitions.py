"""Definitions by name: what triggers and subscriptions have in common in the database."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of, timestamp_of
from domain.errors import RecordError, first_line

__all__ = ["DefinitionTable"]

Definition = TypeVar("Definition", bound=BaseModel)


class DefinitionTable(Generic[Definition]):
    """A table with the columns name, definition and updated_at.

    A definition that cannot be read, such as one that was edited by hand, does not hide the others: lists leave it out
    with a warning, and it can be replaced or deleted.
    """

    def __init__(self, database: GatewayDatabase, table: sa.Table, model: type[Definition], kind: str) -> None:
        self._database, self._table, self._model, self._kind = database, table, model, kind

    def all(self) -> dict[str, Definition]:
        """Return every definition that can be read, by name."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(self._table).order_by(self._table.c.name)).mappings().all()
        definitions = ((row["name"], self._database.readable(self._label(row), self._parse, row)) for row in rows)
        return {name: definition for name, definition in definitions if definition is not None}

    def get(self, name: str) -> Definition | None:
        """Return a definition; None if there is none of this name. Raises RecordError if it cannot be read."""
        with self._database.begin() as connection:
            row = self._row(connection, name)
        return self._former(row)

    def changed_at(self) -> dict[str, datetime]:
        """Return the time of each definition's last change, by name."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(self._table.c.name, self._table.c.updated_at)).mappings().all()
        times = ((row["name"], self._database.readable(self._label(row), _updated_at, row)) for row in rows)
        return {name: time for name, time in times if time is not None}

    def put(self, name: str, definition: Definition, check: Callable[[Definition | None], None] | None = None) -> bool:
        """Write a definition; return False if another client changed it between the check and the write.

        Parameters
        ----------
        check : called with the former definition, or None; it raises to refuse the change.
        """
        values = {"definition": definition.model_dump_json(), "updated_at": text_of(now())}
        new = self._database.insert(self._table).values(name=name, **values)
        with self._database.begin() as connection:
            row = self._row(connection, name)
            if check is None:
                change = new.on_conflict_do_update(index_elements=["name"], set_=values)
            else:
                check(self._former(row))
                change = new.on_conflict_do_nothing()
                if row is not None:
                    same = self._table.c.definition == row["definition"]
                    change = sa.update(self._table).where(self._table.c.name == name, same).values(**values)
            written = bool(connection.execute(change).rowcount)
            if written and row is not None:
                self._on_replaced(connection, row, definition)
            return written

    def _on_replaced(self, connection: sa.Connection, row: Mapping[Any, Any], definition: Definition) -> None:
        """Adapt what belongs to a definition, in the transaction that replaces it. row : the former one."""

    def _row(self, connection: sa.Connection, name: str) -> Mapping[Any, Any] | None:
        return connection.execute(sa.select(self._table).where(self._table.c.name == name)).mappings().first()

    def _former(self, row: Mapping[Any, Any] | None) -> Definition | None:
        try:
            return self._parse(row) if row is not None else None
        except ValidationError as exc:
            raise RecordError(f"{self._label(row or {})}: its record cannot be read: {first_line(exc)}") from exc

    def _parse(self, row: Mapping[Any, Any]) -> Definition:
        return self._model.model_validate_json(row["definition"])

    def _label(self, row: Mapping[Any, Any]) -> str:
        return f"{self._kind} {row['name']}"


def _updated_at(row: Mapping[Any, Any]) -> datetime:
    return timestamp_of(row["updated_at"])
