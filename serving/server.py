"""The HTTP server of the gateway: uvicorn, with limits of connections and deadlines that it does not have itself."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from domain.errors import SettingsError
from serving.connections import ACCEPTED_AT_ONCE, ConnectionLimits, ConnectionTable, Entry, Listener
from serving.problem_details import MEDIA_TYPE

__all__ = ["ServerOptions", "build_server", "listen", "raise_file_limit", "run_server"]

_RESERVED_FILES = 256
"""For the database, the lake and the log, beside connections."""
_MAX_HEAD_BYTES = 32 << 10
_READ_BYTES = 64 << 10
"""At a time; asyncio's 256 KiB, for each of 2,000 connections, would be much."""
_LINGER_S, _LINGER_BYTES = 1.0, 1 << 20
_NOISE = ("Invalid HTTP request received", "Unsupported upgrade request", "No supported WebSocket library")


@dataclass(frozen=True)
class ServerOptions:
    """Options of the server. proxies : addresses and networks whose X-Forwarded-For is believed; none: of nobody."""

    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 on a connection of the table, which closes those that take too long or are too many."""

    def __init__(self, table: ConnectionTable, **parts: Any) -> None:
        super().__init__(**parts)
        self._table, self._entry = table, None
        self._lingered: int | None = None
        self._gone = asyncio.Event()
        self.app_state = {**self.app_state, "connection": self}

    _entry: Entry | None

    def is_trusted(self, address: str) -> bool:
        """Tell if a client at this address has used the connection before."""
        return self._entry is None or address in self._entry.trusted

    def trust(self, address: str) -> None:
        """Note that a client at this address has used the connection."""
        if self._entry is not None:
            self._entry.trust(address)

    async def is_gone_within(self, seconds: float) -> bool:
        """Wait so long, or until the connection has ended."""
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        super().connection_lost(exc)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_LingeringTransport(transport, self))  # type: ignore[arg-type]
        transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        connection = transport.get_extra_info("socket")
        self._entry = self._table.find(connection.fileno()) if connection is not None else None
        if self._entry is not None:
            self._entry.abort = transport.abort

    def data_received(self, data: bytes) -> None:
        if self._lingered is not None:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.transport.abort()
            return
        super().data_received(data)
        self._note_phase()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.flow.pause_reading()  # Until the app asks for the body: it may refuse the request without.

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_phase()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._entry is not None:
            self._entry.paused_at = time.monotonic()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._entry is not None:
            self._entry.paused_at = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document."""
        self._table.note("that sent no HTTP")
        problem = {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": msg, "errors": []}
        headers = [("content-type", MEDIA_TYPE), ("connection", "close"), ("x-content-type-options", "nosniff")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (response, h11.Data(data=json.dumps(problem).encode()), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def linger(self) -> bool:
        """Tell if a body is still coming, which is dropped for a moment; a reset would take the answer with it."""
        if self._lingered is not None or self.conn.their_state is not h11.SEND_BODY:
            return False
        self._lingered = 0
        return True

    @property
    def is_lingering(self) -> bool:
        return self._lingered is not None

    def _note_phase(self) -> None:
        if self._entry is not None:
            self._entry.begin(busy=self.cycle is not None and not self.cycle.response_complete)


class _LingeringTransport:
    """A transport that reads on for a moment when it is closed before the body of a refused request has come."""

    def __init__(self, transport: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self._transport, self._protocol = transport, protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._protocol.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        if self._transport.is_closing() or not self._transport.can_write_eof() or not self._protocol.linger():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # The other side has gone.
            self._transport.abort()
            return
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER_S, self._transport.abort)


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; return how many connections fit beside other files."""
    try:
        import resource
    except ImportError:  # No such limit on this platform.
        return ConnectionLimits().total
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    total = ConnectionLimits().total
    return total if soft == resource.RLIM_INFINITY else max(16, min(total, soft - _RESERVED_FILES))


def listen(host: str, port: int, table: ConnectionTable) -> list[Listener]:
    """Return sockets at every address of a host. Raises SettingsError if it cannot be listened to."""
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [Listener(table, family, address) for family, address in dict.fromkeys((p[0], p[4]) for p in places)]
    except OSError as exc:
        raise SettingsError(f"--host {host} --port {port}: cannot listen there: {exc.strerror or exc}") from exc


def build_server(app: Any, table: ConnectionTable, proxies: Iterable[str] = (), **settings: Any) -> uvicorn.Server:
    """Return a server of the app, to be run with sockets of `listen`. settings : of uvicorn."""
    trusted = list(proxies)
    forwarded = {"proxy_headers": True, "forwarded_allow_ips": trusted} if trusted else {"proxy_headers": False}
    config = uvicorn.Config(
        app,
        http=partial(GuardedProtocol, table),  # type: ignore[arg-type]
        loop="asyncio",
        ws="none",
        backlog=ACCEPTED_AT_ONCE,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        access_log=False,  # It has queries; ours is in serving/access_log.py.
        log_config=None,  # To the handlers of the process, with times.
        server_header=False,
        use_colors=False,  # the guarded streams would show the codes
        **forwarded,
        **settings,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_signal)
    return uvicorn.Server(config)


def run_server(app: Any, options: ServerOptions) -> None:
    """Serve the app until the process is told to stop."""
    limits = ConnectionLimits(total=raise_file_limit(), proxies=options.proxies)
    table = ConnectionTable(limits)
    listeners: Sequence[socket.socket] = listen(options.host, options.port, table)
    server = build_server(
        app, table, options.proxies, ssl_certfile=options.cert, ssl_keyfile=options.key, log_level="warning"
    )
    server.run(sockets=list(listeners))


def _is_signal(record: logging.LogRecord) -> bool:
    """Leave out lines that a stranger can cause by the thousand; the table counts them."""
    return not str(record.msg).startswith(_NOISE)
