"""Outgoing webhooks: subscriptions to events, and the schedule of retries."""

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
    """A receiver of events about jobs and fleets.

    Messages carry a Standard Webhooks signature made with MYRIAD_WEBHOOK_SECRET.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="Address to post messages to; its host must be one of MYRIAD_WEBHOOK_HOSTS.",
        examples=["https://app.example.org/hooks/myriad"],
    )
    events: list[Event] = Field(list(EVENTS), min_length=1, description="Types of events to deliver.")
    endpoint: Name | None = Field(None, description="Endpoint whose jobs and fleets are covered; default: all.")


def check_target(url: str, hosts: tuple[str, ...]) -> None:
    """Raise RequestError unless the url is http(s), without a password, to one of the hosts (`HOST` or `HOST:PORT`).

    Hosts are listed by name, since a check of IP addresses can be bypassed by a name that resolves differently later.
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
    usual = _PORTS[parts.scheme]
    allowed = {entry if ":" in entry else f"{entry}:{usual}" for entry in hosts}
    if f"{host}:{port or usual}" not in allowed:
        entry = host if port in (None, usual) else f"{host}:{port}"
        known = f"has {', '.join(hosts)}" if hosts else "is empty"
        other_port = f"; an entry without a port stands for port {usual} alone" if host in hosts else ""
        raise RequestError(
            f"{url}: its host is not one of MYRIAD_WEBHOOK_HOSTS, which {known}{other_port}; an operator adds {entry} "
            "there and restarts the gateway"
        )


def pause(attempts: int) -> timedelta | None:
    """Return the wait after this number of failed attempts; None after the last retry, about two days in."""
    return timedelta(seconds=_PAUSES_S[attempts - 1]) if attempts <= len(_PAUSES_S) else None
