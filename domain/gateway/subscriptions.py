"""Outgoing webhooks: who is told of what, and when a message is sent again."""

from datetime import timedelta
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import RequestError
from domain.gateway.jobs import Name

__all__ = ["EVENTS", "DeliveryState", "Event", "Subscription", "check_target", "pause"]

Event = Literal["job.completed", "job.failed", "job.cancelled", "release.promoted", "release.held", "alert.raised"]
EVENTS: tuple[Event, ...] = get_args(Event)
DeliveryState = Literal["waiting", "delivered", "dead"]
_PAUSES_S = (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600, 24 * 3600)
_PORTS = {"https": 443, "http": 80}


class Subscription(BaseModel):
    """Somebody who is told when jobs end, and of news of fleets.

    Messages are signed by Standard Webhooks, with MYRIAD_WEBHOOK_SECRET.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="Where messages are posted; its host must be one of MYRIAD_WEBHOOK_HOSTS.",
        examples=["https://app.example.org/hooks/myriad"],
    )
    events: list[Event] = Field(list(EVENTS), min_length=1, description="What to tell.")
    endpoint: Name | None = Field(None, description="Only of jobs of this endpoint and of its fleets; none: of all.")


def check_target(url: str, hosts: tuple[str, ...]) -> None:
    """Raises RequestError unless the url is http(s), without a password, to one of the hosts (`HOST` or `HOST:PORT`).

    A list of hosts, since whatever looks at addresses can be led on by a name that changes what it stands for.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as exc:
        raise RequestError(f"{url}: no url: {exc}") from exc
    if parts.scheme not in _PORTS or not host:
        raise RequestError(f"{url}: give an address that begins with https:// or http://")
    if parts.username or parts.password:
        raise RequestError("a url with a password is not taken: it would be kept and shown; messages are signed")
    if any(ord(letter) < 33 or letter == "\\" for letter in url):
        raise RequestError(f"{url!r}: has characters that no address has")
    allowed = {one if ":" in one else f"{one}:{_PORTS[parts.scheme]}" for one in hosts}
    if f"{host}:{port or _PORTS[parts.scheme]}" not in allowed:
        known = ", ".join(hosts) or "none"
        raise RequestError(f"{url}: its host is not one of MYRIAD_WEBHOOK_HOSTS, which has: {known}")


def pause(attempts: int) -> timedelta | None:
    """How long to wait after so many attempts in vain; None once it is time to give up, after two days."""
    return timedelta(seconds=_PAUSES_S[attempts - 1]) if attempts <= len(_PAUSES_S) else None
