"""Repository of API keys: digests only, never the keys themselves."""

import json

import sqlalchemy as sa

from adapters.gateway.database import GatewayDatabase
from adapters.gateway.records import key_of, now, text_of
from adapters.gateway.tables import KEYS
from domain.gateway.api_keys import Key

__all__ = ["KeyRepository"]


class KeyRepository:
    """API keys by prefix."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._database = database

    def get(self, prefix: str) -> Key | None:
        """Return the key of a prefix; None also for a record that cannot be read."""
        with self._database.begin() as connection:
            row = connection.execute(sa.select(KEYS).where(KEYS.c.prefix == prefix)).mappings().first()
        return self._database.readable(f"key {prefix}", key_of, row) if row else None

    def all(self) -> list[Key]:
        """Return every key, by client and age."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.client, KEYS.c.created_at)).mappings().all()
        keys = (self._database.readable(f"key {row['prefix']}", key_of, row) for row in rows)
        return [key for key in keys if key is not None]

    def add(self, key: Key) -> None:
        """Write a new key."""
        values = {
            "client": key.client,
            "slot": key.slot,
            "prefix": key.prefix,
            "digest": key.digest,
            "scopes": json.dumps(key.scopes),
            "endpoints": json.dumps(key.endpoints),
            "created_at": text_of(key.created_at),
            "expires_at": text_of(key.expires_at),
            "revoked_at": text_of(key.revoked_at),
        }
        with self._database.begin() as connection:
            connection.execute(sa.insert(KEYS).values(**values))

    def revoke(self, prefix: str) -> bool:
        """Revoke a key; return True if it existed and was valid."""
        query = sa.update(KEYS).where(KEYS.c.prefix == prefix, KEYS.c.revoked_at.is_(None))
        with self._database.begin() as connection:
            return bool(connection.execute(query.values(revoked_at=text_of(now()))).rowcount)
