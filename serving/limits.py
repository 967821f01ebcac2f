"""Limits of requests: sizes, rates, times, and how many at once."""

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["BodyTimes", "Limits", "RateLimit", "address_group"]

_MAX_CLIENTS = 10_000


class RateLimit:
    """A token bucket per client, held in this process: a rate per second, and a cap on bursts."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._rate, self._cap = per_second, float(at_once)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, client: str, now: float) -> float:
        """Take a token; return 0.0, or the seconds until there is one."""
        with self._lock:
            left = self._left(client, now)
            wait = self._wait(left)
            self._keep(client, left if wait else left - 1, now)
            return wait

    def wait(self, client: str, now: float) -> float:
        """Return the seconds until there is a token, without taking it."""
        with self._lock:
            return self._wait(self._left(client, now))

    def reserve(self, client: str, now: float, longest_s: float) -> float | None:
        """Take the next token that comes; return the seconds until then, or None if that is too long."""
        with self._lock:
            left = self._left(client, now)
            wait = self._wait(left)
            if wait > longest_s:
                self._keep(client, left, now)
                return None
            self._keep(client, left - 1, now)
            return wait

    def _left(self, client: str, now: float) -> float:
        left, seen = self._buckets.get(client, (self._cap, now))
        return min(self._cap, left + max(0.0, now - seen) * self._rate)

    def _wait(self, left: float) -> float:
        return 0.0 if left >= 1 else (1 - left) / self._rate

    def _keep(self, client: str, left: float, now: float) -> None:
        self._buckets[client] = (left, now)
        self._buckets.move_to_end(client)
        while len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)


@dataclass(frozen=True)
class BodyTimes:
    """Deadlines of bodies in seconds. pause_s : between two pieces. per_second : bytes that an upload must make."""

    keyed_s: float = 30.0
    signed_s: float = 10.0
    pause_s: float = 20.0
    per_second: int = 1024


@dataclass(frozen=True)
class Limits:
    """Limits of requests.

    body_bytes : of any body but an upload. per_second, at_once : of each client.
    unauthenticated_* : wrong keys, or none, of each address. unknown_* : requests of each address on connections that
    no client has used yet; those beyond wait for their turn, up to `longest_wait_s`.
    bodies, client_bodies, signed_bodies : how many are read at once, in total, per client, and per address of signed
    events. hosts : that the header Host may name; none: all.
    """

    body_bytes: int = 1 << 20
    upload_bytes: int = 256 << 20
    per_second: float = 50.0
    at_once: int = 300
    unauthenticated_per_second: float = 2.0
    unauthenticated_at_once: int = 20
    unknown_per_second: float = 50.0
    unknown_at_once: int = 50
    longest_wait_s: float = 10.0
    bodies: int = 64
    client_bodies: int = 8
    signed_bodies: int = 4
    times: BodyTimes = field(default_factory=BodyTimes)
    hosts: tuple[str, ...] = ()


@lru_cache(maxsize=_MAX_CLIENTS)
def address_group(address: str) -> str:
    """Return the name under which limits count an address: IPv6 by its /64, since a host has all of one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
