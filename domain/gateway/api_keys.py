"""Keys of the gateway: how they look, what is kept of them, and what they allow.

A key is `myriad_<prefix>_<secret>`. The prefix names it in lists and logs; of the whole only the SHA-256 is kept, which
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

__all__ = ["SCOPES", "Key", "MadeKey", "Scope", "allows", "make_key", "matches", "prefix_of"]

Scope = Literal["read", "score", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_KEY = re.compile(r"myriad_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class MadeKey:
    """A new key. text : to be shown once, and kept by nobody but its owner."""

    text: str
    prefix: str
    digest: str


@dataclass(frozen=True)
class Key:
    """What is kept of a key. client : whose it is; a client has two at most, `primary` and `secondary`.

    endpoints : names that it is good for; none means all.
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
        """Whether it may be used at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def make_key() -> MadeKey:
    """A new random key."""
    prefix = secrets.token_hex(6)
    text = f"myriad_{prefix}_{secrets.token_urlsafe(32)}"
    return MadeKey(text, prefix, _digest(text))


def prefix_of(text: str) -> str | None:
    """The prefix of a text that looks like a key; None for any other."""
    match = _KEY.fullmatch(text)
    return match[1] if match else None


def matches(text: str, digest: str) -> bool:
    """Whether this is the key of which the digest is kept; takes as long for any other one."""
    return hmac.compare_digest(_digest(text), digest)


def allows(scopes: Collection[str], needed: Scope) -> bool:
    """`admin` stands for all; the others for themselves, but that whoever may score or operate may look too."""
    implied = {"read": {"score", "operate"}}.get(needed, set())
    return bool({"admin", needed, *implied}.intersection(scopes))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
