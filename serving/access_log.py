"""The access log of the gateway: who called which route, and what became of it; never what was sent."""

import logging
from dataclasses import dataclass

from adapters.logs import fields_of
from serving.auth import Client

__all__ = ["Access", "log_access"]

_LOG = logging.getLogger("myriad.access")
_HEALTH = frozenset({"/healthz", "/readyz"})
_MOST_METHOD_CHARS = 16


@dataclass(frozen=True)
class Access:
    """A request and its answer.

    Parameters
    ----------
    route : path of the route with names in place of values, since a value may be a secret; '' for no route.
    status : 0 if the client has gone before an answer.
    client : None where nobody was authenticated.
    """

    method: str
    route: str
    status: int
    seconds: float
    client: Client | None


def log_access(access: Access) -> None:
    """Log a request; those of probes, and of strangers who ask too often, only for debugging."""
    is_noise = access.route in _HEALTH or (access.client is None and access.status in (0, 429))
    level = logging.DEBUG if is_noise else logging.INFO
    who = access.client.credential if access.client else "-"
    method, route, milliseconds = access.method[:_MOST_METHOD_CHARS], access.route or "-", round(1e3 * access.seconds)
    fields = fields_of(method=method, route=route, status=access.status, ms=milliseconds, key=who)
    _LOG.log(level, "%s %s %d %d ms %s", method, route, access.status, milliseconds, who, extra=fields)
