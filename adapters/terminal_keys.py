"""What `myriad keys list` shows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.show import Section, show_sections

__all__ = ["show_keys"]


def show_keys(keys: Sequence[Mapping[str, Any]]) -> None:
    """A line a key."""
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
    header = ("key", "client", "slot", "scopes", "endpoints", "made", "holds until")
    show_sections([Section("keys", rows or [("none yet: myriad keys create CLIENT --scope score",)], header)])


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _end(expires: datetime | None, revoked: datetime | None) -> str:
    if revoked:
        return f"revoked {_day(revoked)}"
    return _day(expires) if expires else "it is revoked"
