"""API keys of the gateway: their form, their record, and the rights that they grant.

A key is `myriad_<prefix>_<secret>`. The prefix names it in lists and logs; only the SHA-256 of the whole is kept, which
is enough, since the secret has 256 random bits.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from domain.errors import RequestError

__all__ = [
    "JWT_PREFIX",
    "MAX_NAME",
    "SCOPES",
    "Key",
    "MadeKey",
    "Scope",
    "allows",
    "check_client_name",
    "make_key",
    "matches",
    "prefix_of",
]

Scope = Literal["read", "score", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MAX_NAME = 64
"""Longest name of a client, which the database keeps with each of its jobs."""
JWT_PREFIX = "jwt:"
"""Prefix of the names of clients with tokens; no client with a key may have it."""
_KEY = re.compile(r"myriad_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class MadeKey:
    """A new key. text : the key itself, shown once and kept by its owner alone."""

    text: str
    prefix: str
    digest: str


@dataclass(frozen=True)
class Key:
    """Record of a key. client : its owner, who has two keys at most, `primary` and `secondary`.

    endpoints : names that the key is limited to; none means all.
    """

    client: str
    slot: Literal["primary", "secondary"]
    prefix: str
    digest: str
    scopes: tuple[Scope, ...]
    endpoints: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def holds_at(self, now: datetime) -> bool:
        """Tell if the key is neither revoked nor expired at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def make_key() -> MadeKey:
    """Return a new random key."""
    prefix = secrets.token_hex(6)
    text = f"myriad_{prefix}_{secrets.token_urlsafe(32)}"
    return MadeKey(text, prefix, _digest(text))


def prefix_of(text: str) -> str | None:
    """Return the prefix of a text with the form of a key; None for any other."""
    match = _KEY.fullmatch(text)
    return match[1] if match else None


def matches(text: str, digest: str) -> bool:
    """Compare a key with the digest of a record, in a time that does not depend on the result."""
    return hmac.compare_digest(_digest(text), digest)


def check_client_name(name: str) -> None:
    """Raise RequestError for a name that lists and logs cannot show, or that a client with tokens can have."""
    if not name or name != name.strip():
        raise RequestError(f"client {name!r}: give a name such as webshop, without spaces at its ends")
    if len(name) > MAX_NAME:
        raise RequestError(f"client {name[:MAX_NAME]!r}...: {len(name):,} characters; at most {MAX_NAME}")
    if not name.isprintable():
        raise RequestError(f"client {name!r}: it has characters that cannot be printed; give a name such as webshop")
    if name.lower().startswith(JWT_PREFIX):
        raise RequestError(f"client {name!r}: names that begin with {JWT_PREFIX} are of clients with tokens")


def allows(scopes: Collection[str], needed: Scope) -> bool:
    """Tell if the scopes include the needed one: `admin` includes all, `score` and `operate` include `read`."""
    implied = {"read": {"score", "operate"}}.get(needed, set())
    return bool({"admin", needed, *implied}.intersection(scopes))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
