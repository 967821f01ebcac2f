"""Repository of triggers: hooks that take events about files, the messages they took, and the files to be scored."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.definitions import DefinitionTable
from adapters.gateway.jobs import insert_job
from adapters.gateway.records import JobRecord, now, text_of, timestamp_of
from adapters.gateway.tables import EVENTS, FILES, HOOKS, MESSAGES
from domain.errors import QuotaError
from domain.gateway.file_events import FileEvent
from domain.gateway.triggers import Trigger

__all__ = ["TriggerRepository"]

_KEYS_AT_ONCE = 500
_REFUSED = "refused"
"""In place of a job: the file is set aside, and the audit log has the reason."""


class TriggerRepository(DefinitionTable[Trigger]):
    """Triggers by name, the messages that they have received, and the files in those."""

    def __init__(self, database: GatewayDatabase) -> None:
        super().__init__(database, HOOKS, Trigger, "hook")

    def delete(self, name: str) -> int | None:
        """Delete a trigger with its messages and files; the number of files that waited, None if it did not exist."""
        waiting = sa.select(sa.func.count()).where(FILES.c.hook == name, FILES.c.job.is_(None))
        with self._database.begin() as connection:
            if not connection.execute(sa.delete(HOOKS).where(HOOKS.c.name == name)).rowcount:
                return None
            count = connection.execute(waiting).scalar() or 0
            connection.execute(sa.delete(FILES).where(FILES.c.hook == name))
            connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.hook == name))
        return count

    def take_files(
        self, hook: str, message: str | None, files: Sequence[FileEvent], most_waiting: int | None = None
    ) -> int | None:
        """Record the files of a message; the number that now waits to be scored, None if the message was taken before.

        A file of the same version is recorded once. Without a version nobody knows whether the file has changed since
        it was scored: it is recorded again, and the ledger of inputs decides.

        Parameters
        ----------
        message : its id; None where it has none.
        most_waiting : files of the trigger that may wait for a job.

        Raises
        ------
        QuotaError
            If more of them would wait; nothing of the message is recorded.
        """
        received_at = text_of(now())
        rows = {_file_key(file): {"uri": file.uri, "versioned": bool(file.version)} for file in files}
        with self._database.begin() as connection:
            if most_waiting is not None:
                self._database.take_turn(connection, f"files of {hook}")
            if message is not None and not self._add_message(connection, hook, message, received_at):
                return None
            waiting = 0
            for key, row in sorted(rows.items()):
                note = self._database.insert(FILES).values(hook=hook, key=key, uri=row["uri"], received_at=received_at)
                if row["versioned"]:
                    note = note.on_conflict_do_nothing()
                else:
                    again = {"received_at": received_at, "job": None}
                    note = note.on_conflict_do_update(index_elements=["hook", "key"], set_=again)
                waiting += connection.execute(note).rowcount
            if waiting and most_waiting is not None:
                _check_waiting(connection, hook, most_waiting)
        return waiting

    def waiting_files(self, hook: str) -> list[tuple[str, str, datetime]]:
        """Return key, uri and arrival of the files that no job has, oldest first; odd records are set aside."""
        query = sa.select(FILES).where(FILES.c.hook == hook, FILES.c.job.is_(None))
        with self._database.begin() as connection:
            rows = connection.execute(query.order_by(FILES.c.received_at, FILES.c.key)).mappings().all()
        files = [(row["key"], self._database.readable(f"file of hook {hook}", _waiting_file, row)) for row in rows]
        if odd := [key for key, file in files if file is None]:
            self.refuse_files(hook, odd)
        return [file for _, file in files if file is not None]

    def refuse_files(self, hook: str, keys: Sequence[str]) -> None:
        """Set files aside for good: no job can have them."""
        with self._database.begin() as connection:
            for first in range(0, len(keys), _KEYS_AT_ONCE):
                mine = FILES.c.key.in_(keys[first : first + _KEYS_AT_ONCE])
                connection.execute(sa.update(FILES).where(FILES.c.hook == hook, mine).values(job=_REFUSED))

    def last_received(self, hook: str) -> dict[str, datetime]:
        """Return the time at which each file was last recorded, by uri."""
        query = sa.select(FILES.c.uri, sa.func.max(FILES.c.received_at)).where(FILES.c.hook == hook)
        with self._database.begin() as connection:
            rows = connection.execute(query.group_by(FILES.c.uri)).all()
        times = ((uri, self._database.readable(f"file of hook {hook}", timestamp_of, text)) for uri, text in rows)
        return {uri: received_at for uri, received_at in times if received_at is not None}

    def give_to_job(self, hook: str, keys: Sequence[str], job: JobRecord) -> bool:
        """Write a job and give it these files, in one transaction; False if another gateway has given some away."""
        return self._give(hook, keys, job.id, insert_job(job))

    def give_to_event(self, hook: str, keys: Sequence[str], event_id: str, body: Mapping[str, Any]) -> bool:
        """Write an event and give it these files, in the same way; the event is sent after that."""
        values = {"id": event_id, "body": json.dumps(body), "created_at": text_of(now())}
        return self._give(hook, keys, event_id, sa.insert(EVENTS).values(**values))

    def forget_messages(self, before: datetime) -> int:
        """Forget messages taken and events sent before this time, which will not come again; the number of messages."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(EVENTS).where(EVENTS.c.sent_at < text_of(before)))
            return connection.execute(sa.delete(MESSAGES).where(MESSAGES.c.received_at < text_of(before))).rowcount

    def _add_message(self, connection: sa.Connection, hook: str, message: str, received_at: str | None) -> bool:
        digest = hashlib.blake2b(message.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        new = self._database.insert(MESSAGES).values(hook=hook, id=digest, received_at=received_at)
        return bool(connection.execute(new.on_conflict_do_nothing()).rowcount)

    def _give(self, hook: str, keys: Sequence[str], taker: str, new: sa.Insert) -> bool:
        with self._database.begin() as connection:
            count = 0
            for first in range(0, len(keys), _KEYS_AT_ONCE):
                mine = FILES.c.key.in_(keys[first : first + _KEYS_AT_ONCE])
                change = sa.update(FILES).where(FILES.c.hook == hook, FILES.c.job.is_(None), mine)
                count += connection.execute(change.values(job=taker)).rowcount
            if count != len(keys):
                connection.rollback()
                return False
            connection.execute(new)
        return True


def _check_waiting(connection: sa.Connection, hook: str, most: int) -> None:
    waiting = sa.select(sa.func.count()).where(FILES.c.hook == hook, FILES.c.job.is_(None))
    count = connection.execute(waiting).scalar() or 0
    if count > most:
        raise QuotaError(
            f"hook {hook}: {count:,} files would wait for a job, and {most:,} are allowed "
            "(MYRIAD_GATEWAY_WAITING_FILES); send the message again later"
        )


def _waiting_file(row: Mapping[Any, Any]) -> tuple[str, str, datetime]:
    return row["key"], row["uri"], timestamp_of(row["received_at"])


def _file_key(file: FileEvent) -> str:
    return hashlib.blake2b(f"{file.uri}\0{file.version}".encode(), digest_size=16).hexdigest()
