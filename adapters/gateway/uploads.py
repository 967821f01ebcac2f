"""Repository of uploads: their sizes by client; the files are in the lake."""

from datetime import datetime

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import now, text_of
from adapters.gateway.tables import UPLOADS
from domain.errors import QuotaError

__all__ = ["UploadRepository"]


class UploadRepository:
    """Uploads by client, fleet and uri. Two clients that upload the same file have a row each."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def bytes_of(self, client: str) -> int:
        """Return the bytes of a client's uploads."""
        with self._database.begin() as connection:
            return _bytes(connection, client)

    def add(self, client: str, endpoint: str, fleet: str, uri: str, size: int, most_bytes: int) -> bool:
        """Record an upload, before its file is stored; return False if the client has recorded it before.

        Raises
        ------
        QuotaError
            If the client's uploads exceed `most_bytes` with it.
        """
        values = {"endpoint": endpoint, "bytes": size, "uploaded_at": text_of(now())}
        mine = (UPLOADS.c.client == client, UPLOADS.c.fleet == fleet, UPLOADS.c.uri == uri)
        with self._database.begin() as connection:
            self._database.take_turn(connection, f"uploads of {client}")
            if connection.execute(sa.update(UPLOADS).where(*mine).values(**values)).rowcount:
                return False
            # Written before it is counted: two uploads at once do not both fit into what is left.
            new = self._database.insert(UPLOADS).values(client=client, fleet=fleet, uri=uri, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["client", "fleet", "uri"], set_=values))
            total = _bytes(connection, client)
            if total > most_bytes:
                raise QuotaError(_over(total, most_bytes))
        return True

    def check(self, client: str, size: int, most_bytes: int) -> None:
        """Raise QuotaError if `size` more bytes of a client exceed the limit."""
        total = self.bytes_of(client) + size
        if total > most_bytes:
            raise QuotaError(_over(total, most_bytes))

    def delete(self, client: str, fleet: str, uri: str) -> None:
        """Delete the record of an upload whose file could not be stored."""
        mine = (UPLOADS.c.client == client, UPLOADS.c.fleet == fleet, UPLOADS.c.uri == uri)
        with self._database.begin() as connection:
            connection.execute(sa.delete(UPLOADS).where(*mine))

    def prune(self, before: datetime, needed: set[tuple[str, str]]) -> int:
        """Delete the records of uploads before a time, but for those that are needed, by fleet and uri."""
        with self._database.begin() as connection:
            old = connection.execute(sa.select(UPLOADS).where(UPLOADS.c.uploaded_at < text_of(before))).mappings().all()
            rows = [row for row in old if (row["fleet"], row["uri"]) not in needed]
            for row in rows:
                mine = (UPLOADS.c[name] == row[name] for name in ("client", "fleet", "uri", "uploaded_at"))
                connection.execute(sa.delete(UPLOADS).where(*mine))
        return len(rows)

    def all(self, fleet: str) -> set[str]:
        """Return the uris of a fleet's recorded uploads."""
        with self._database.begin() as connection:
            return set(connection.execute(sa.select(UPLOADS.c.uri).where(UPLOADS.c.fleet == fleet)).scalars())


def _bytes(connection: sa.Connection, client: str) -> int:
    total = sa.select(sa.func.coalesce(sa.func.sum(UPLOADS.c.bytes), 0)).where(UPLOADS.c.client == client)
    return int(connection.execute(total).scalar() or 0)


def _over(total: int, most: int) -> str:
    return (
        f"with this file, the uploads of the client would have {total:,} bytes, and {most:,} are allowed "
        "(MYRIAD_GATEWAY_UPLOAD_MIB); older ones are deleted after some days (MYRIAD_GATEWAY_UPLOAD_DAYS)"
    )
