"""Output of `myriad keys list` and `myriad webhooks list`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.gateway.records import Delivery
from cli.views.tables import Section, print_sections

__all__ = ["print_deliveries", "print_keys"]


def print_keys(keys: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per key."""
    rows: list[tuple[str, ...]] = [
        (
            key["prefix"],
            key["client"],
            key["slot"],
            ", ".join(key["scopes"]),
            ", ".join(key["endpoints"]) or "all",
            _day(key["created_at"]),
            _end(key["expires_at"], key["revoked_at"]),
        )
        for key in keys
    ]
    header = ("key", "client", "slot", "scopes", "endpoints", "created", "valid until")
    if not rows:
        print("no keys yet: myriad keys create CLIENT --scope score")
    print_sections([Section("keys", rows, header)])


def print_deliveries(deliveries: Sequence[Delivery]) -> None:
    """Print one line per delivery."""
    rows: list[tuple[str, ...]] = [
        (row.message, row.subscription, row.state, str(row.attempts), f"{row.due_at:%Y-%m-%d %H:%M}", row.reason)
        for row in deliveries
    ]
    header = ("message", "to", "state", "attempts", "due or sent", "reason")
    if not rows:
        print("no messages")
    print_sections([Section("messages", rows, header, frozenset({3}))])


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _end(expires: datetime | None, revoked: datetime | None) -> str:
    if revoked:
        return f"revoked {_day(revoked)}"
    return _day(expires) if expires else "no end"
