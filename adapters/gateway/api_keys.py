"""Keys of clients: created, rotated and revoked in the gateway's database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from adapters.gateway.store import GatewayStore
from domain.data.segment_search import suggest_closest
from domain.errors import RequestError, UnknownNameError
from domain.gateway.api_keys import Key, Scope, check_client_name, make_key

__all__ = ["create_key", "revoke_key", "rotate_key"]

Slot = Literal["primary", "secondary"]
_SLOTS: tuple[Slot, Slot] = ("primary", "secondary")


def create_key(
    store: GatewayStore, client: str, scopes: Sequence[Scope], endpoints: Sequence[str], days: int | None
) -> tuple[str, Key]:
    """Create the first key of a client; return its text, which is kept nowhere, and its record.

    Raises
    ------
    RequestError
        If the client has a key already, or the name cannot be used.
    """
    check_client_name(client)
    if _held(store, client):
        raise RequestError(f"client {client} has a key; `myriad keys rotate {client}` makes a second one")
    return _add(store, client, "primary", tuple(scopes), tuple(endpoints), days)


def rotate_key(store: GatewayStore, client: str, days: int | None) -> tuple[str, Key]:
    """Create a second key with the rights of the first, which stays valid until it is revoked.

    Raises
    ------
    UnknownNameError
        If the client has no key.
    RequestError
        If it has two.
    """
    held = _held(store, client)
    if not held:
        known = sorted({key.client for key in store.keys.all()})
        raise UnknownNameError(f"client {client} has no key{suggest_closest(client, known)}")
    if len(held) == len(_SLOTS):
        prefixes = " and ".join(key.prefix for key in held)
        raise RequestError(f"client {client} has two keys, {prefixes}; first revoke the one that is not used any more")
    free = next(slot for slot in _SLOTS if slot != held[0].slot)
    return _add(store, client, free, held[0].scopes, held[0].endpoints, days)


def revoke_key(store: GatewayStore, prefix: str) -> None:
    """Revoke a key with immediate effect; raise UnknownNameError if no valid key has this prefix."""
    if not store.keys.revoke(prefix):
        raise UnknownNameError(f"key {prefix}: there is none that holds; `myriad keys list` shows them")
    store.audit.record("cli", "key.revoke", prefix)


def _held(store: GatewayStore, client: str) -> list[Key]:
    now = datetime.now(UTC)
    return [key for key in store.keys.all() if key.client == client and key.holds_at(now)]


def _add(
    store: GatewayStore,
    client: str,
    slot: Slot,
    scopes: tuple[Scope, ...],
    endpoints: tuple[str, ...],
    days: int | None,
) -> tuple[str, Key]:
    fresh, now = make_key(), datetime.now(UTC)
    end = now + timedelta(days=days) if days else None
    key = Key(client, slot, fresh.prefix, fresh.digest, scopes, endpoints, now, end)
    store.keys.add(key)
    store.audit.record("cli", "key.create", fresh.prefix, {"client": client, "scopes": list(scopes), "slot": slot})
    return fresh.text, key
