"""Limits of connections, from their acceptance on: how many, per address and in total, and how long one may dawdle.

Connections are counted where the kernel hands them over, so that those that send nothing, or never end a TLS handshake,
count as well. Where there are too many, the oldest that no client has used yet makes room for a new one.
"""

import asyncio
import errno
import ipaddress
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from serving.limits import address_group

__all__ = ["ACCEPTED_AT_ONCE", "ConnectionLimits", "ConnectionTable", "Entry", "Listener"]

_LOG = logging.getLogger("myriad.gateway")
_TICK_S = 1.0
_LOG_EVERY_S = 60.0
_MAX_TRUSTED = 1_000
ACCEPTED_AT_ONCE, _QUEUED = 32, 1_024
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    head_s : until the headers of a request are complete, from the start or the previous answer.
    unread_s : that an answer may wait for its reader. chance_s : before a connection may have to make room.
    proxies : addresses and networks without a limit per address.
    """

    total: int = 2_000
    per_address: int = 256
    head_s: float = 10.0
    unread_s: float = 30.0
    chance_s: float = 1.0
    proxies: tuple[str, ...] = ()


@dataclass(eq=False)
class Entry:
    """An open connection. since : start of its present phase. paused_at : when its reader stopped to read."""

    connection: socket.socket
    descriptor: int
    address: str
    opened_at: float
    since: float
    is_busy: bool = False
    paused_at: float | None = None
    trusted: set[str] = field(default_factory=set)
    abort: Callable[[], object] | None = None

    def begin(self, *, busy: bool) -> None:
        """Note that a request is under way, or that the connection waits for the next one."""
        if busy != self.is_busy:
            self.is_busy, self.since = busy, time.monotonic()

    def close(self) -> None:
        """End the connection without waiting for the other side."""
        if self.abort is not None:
            self.abort()
        else:  # Before its protocol is there, such as during a TLS handshake: the loop sees the end.
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def trust(self, address: str) -> None:
        """Note that a client has used the connection from an address, which may lie behind a proxy."""
        if len(self.trusted) < _MAX_TRUSTED:
            self.trusted.add(address)


class ConnectionTable:
    """All connections of a server, oldest first."""

    def __init__(self, limits: ConnectionLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits or ConnectionLimits(), clock
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in self.limits.proxies]
        self._entries: dict[int, Entry] = {}
        self._addresses, self._closed = Counter[str](), Counter[str]()
        self._ticking, self._logged_at = False, -float("inf")

    def __len__(self) -> int:
        return len(self._entries)

    def admit(self, connection: socket.socket, host: str) -> bool:
        """Count a new connection; False if there is no room, even without the oldest that no client has used."""
        address, limits = address_group(host), self.limits
        is_full = self._addresses[address] >= limits.per_address and not self._is_proxy(host)
        if is_full and not self._make_room(address, f"beyond {limits.per_address:,} of one address"):
            return False
        if len(self._entries) >= limits.total and not self._make_room(None, f"beyond {limits.total:,} in total"):
            return False
        descriptor, now = connection.fileno(), self._clock()
        self._entries[descriptor] = Entry(connection, descriptor, address, now, now)
        self._addresses[address] += 1
        self._tick_later()
        return True

    def find(self, descriptor: int) -> Entry | None:
        """Return the entry of an open connection by its file descriptor."""
        return self._entries.get(descriptor)

    def forget(self, connection: socket.socket) -> None:
        """Take a connection out that is about to be closed."""
        entry = self._entries.get(connection.fileno())
        if entry is not None and entry.connection is connection:
            self._remove(entry)

    def note(self, reason: str) -> None:
        """Count something that the log gets as one line a minute."""
        self._closed[reason] += 1
        self._tick_later()

    def release(self, count: int) -> int:
        """Close the oldest connections that no client has used, and return how many there were."""
        entries = [entry for entry in self._entries.values() if not entry.trusted][:count]
        for entry in entries:
            self._close(entry, "to free file descriptors")
        return len(entries)

    def sweep(self) -> None:
        """Close connections that take too long, and log what was closed."""
        now, limits = self._clock(), self.limits
        for entry in list(self._entries.values()):
            if entry.paused_at is not None and now - entry.paused_at > limits.unread_s:
                self._close(entry, f"with an answer unread for {limits.unread_s:g} s")
            elif not entry.is_busy and now - entry.since > limits.head_s:
                self._close(entry, f"without a whole request head in {limits.head_s:g} s")
        if self._closed and now - self._logged_at >= _LOG_EVERY_S:
            counts = ", ".join(f"{count:,} {reason}" for reason, count in self._closed.most_common())
            _LOG.warning("connections closed or refused: %s", counts)
            self._closed.clear()
            self._logged_at = now

    def _is_proxy(self, host: str) -> bool:
        return bool(self._proxies) and any(ipaddress.ip_address(host) in network for network in self._proxies)

    def _make_room(self, address: str | None, reason: str) -> bool:
        """Close the oldest connection that no client has used, unless it is too young to have had its chance.

        Refusing the new one costs least. Room for every one would let a flood open and close them without end.
        """
        candidates = (entry for entry in self._entries.values() if address in (None, entry.address))
        oldest = next((entry for entry in candidates if not entry.trusted), None)
        if oldest is None or self._clock() - oldest.opened_at < self.limits.chance_s:
            self._closed[f"refused {reason}"] += 1
            return False
        self._close(oldest, reason)
        return True

    def _close(self, entry: Entry, reason: str) -> None:
        self._closed[reason] += 1
        self._remove(entry)
        entry.close()

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.descriptor]
        self._addresses[entry.address] -= 1
        if not self._addresses[entry.address]:
            del self._addresses[entry.address]

    def _tick_later(self) -> None:
        with suppress(RuntimeError):  # Without a loop, as in tests, whoever has the table sweeps.
            if not self._ticking:
                asyncio.get_running_loop().call_later(_TICK_S, self._tick)
                self._ticking = True

    def _tick(self) -> None:
        self._ticking = False
        self.sweep()
        if self._entries or self._closed:
            self._tick_later()


class _Accepted(socket.socket):
    """A connection that leaves the table when it is closed."""

    table: ConnectionTable

    def close(self) -> None:
        if self.fileno() >= 0:
            self.table.forget(self)
        super().close()


class Listener(socket.socket):
    """A listening socket that accepts within the limits of a table."""

    def __init__(self, table: ConnectionTable, family: int, address: tuple[Any, ...]) -> None:
        # TCP by name: asyncio leaves Nagle's algorithm on otherwise, which holds every answer back for 40 ms.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._table = table
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self.bind(address)
        except OSError:
            self.close()
            raise

    def listen(self, backlog: int = ACCEPTED_AT_ONCE, /) -> None:
        """Queue more than the event loop accepts in one go, which is the `backlog` that it asks for."""
        super().listen(max(backlog, _QUEUED))

    def accept(self) -> tuple[socket.socket, Any]:
        while True:
            try:
                plain, address = super().accept()
            except OSError as exc:
                if exc.errno in _OUT_OF_FILES and self._table.release(32):
                    raise BlockingIOError from exc  # The loop comes back, and finds descriptors.
                raise
            accepted = _Accepted(plain.family, plain.type, plain.proto, fileno=plain.detach())
            accepted.table = self._table
            if self._table.admit(accepted, str(address[0])):
                return accepted, address
            accepted.close()
