"""The gate: ASGI middleware that authenticates a request by its headers before a byte of its body is read."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol

from anyio import CapacityLimiter, to_thread

from domain.errors import MyriadError
from serving.access_log import Access, log_access
from serving.auth import CLIENT, Authenticator, Client, credential_of, require
from serving.limits import Limits, RateLimit, address_group
from serving.middleware.bodies import Body, BodySlots, DisconnectedError, Message, Receive
from serving.middleware.json_guard import EVENT_NODES, REQUEST_NODES, check_json
from serving.middleware.route_table import RoutePolicy, RouteTable
from serving.problem_details import ProblemError, problem_of

__all__ = ["Connection", "Gate"]

Send = Callable[[Message], Awaitable[None]]
IsSigned = Callable[[str], bool]
"""Tells if a trigger exists whose senders sign."""
_MAX_HEADERS = 100
_SIGNATURE_S = 300
"""By how much the time of a signed message may differ, as Standard Webhooks has it."""
_WAIT_S = 5.0
_OPEN_TO_CACHES = frozenset({"/healthz", "/readyz", "/openapi.json"})
_SIGNED = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")


class Connection(Protocol):
    """A connection of our own server. Connections that no client has used yet are the first to be closed."""

    def is_trusted(self, address: str) -> bool: ...

    def trust(self, address: str) -> None: ...

    async def is_gone_within(self, seconds: float) -> bool: ...


class Gate:
    """Refuse requests that no route takes, that nobody may send, or whose body is too large, too slow or too deep."""

    def __init__(
        self,
        app: Any,
        table: Callable[[], RouteTable],
        authenticator: Authenticator,
        is_signed: IsSigned,
        limits: Limits,
    ) -> None:
        self._app, self._find_table, self._authenticator, self._is_signed = app, table, authenticator, is_signed
        self._table: RouteTable | None = None
        self._limits = limits
        self._unknown = RateLimit(limits.unknown_per_second, limits.unknown_at_once)
        self._slots, self._signed_slots = BodySlots(limits.bodies), BodySlots(max(1, limits.bodies // 4))
        # Two at a time: parsing holds the interpreter, and the event loop must get its turns.
        self._guard_threads, self._trigger_threads = CapacityLimiter(2), CapacityLimiter(2)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._serve(scope, receive, _Answer(scope["path"], send))

    async def _serve(self, scope: Any, receive: Receive, answer: "_Answer") -> None:
        began = time.monotonic()
        try:
            await self._answer(scope, receive, answer)
        finally:
            client: Client | None = scope.get(CLIENT)
            log_access(Access(scope["method"], answer.route, answer.status, time.monotonic() - began, client))

    async def _answer(self, scope: Any, receive: Receive, answer: "_Answer") -> None:
        try:
            async with AsyncExitStack() as held:
                replayed = await self._admit(scope, receive, answer, held)
                await self._app(scope, replayed, answer.send)
        except DisconnectedError:
            return
        except (ProblemError, MyriadError) as exc:
            if answer.begun:
                raise
            await problem_of(exc, scope)(scope, receive, answer.send)

    async def _admit(self, scope: Any, receive: Receive, answer: "_Answer", held: AsyncExitStack) -> Receive:
        """Authenticate, then read the body where a route wants all of it; return what the app reads from."""
        headers = scope["headers"]
        answer.body_is_unread = _announces_body(headers)
        await self._take_turn(scope)
        self._check_headers(headers)
        policy, parameters = self._routes().find(scope["path"], scope["method"])
        answer.route = policy.route
        body = Body(headers, receive, self._max_bytes(policy), self._limits.times)
        client = await self._client(scope, policy, parameters)
        answer.body = body
        if policy.body in ("none", "upload") or not body.announced:
            if policy.body == "upload" and client is not None:
                await held.enter_async_context(self._slots.taken(client.name, self._limits.client_bodies, _WAIT_S))
            return answer.watched(body.stream)
        nodes = EVENT_NODES if policy.body == "event" else REQUEST_NODES
        return await self._read(scope, body, client, nodes)

    async def _read(self, scope: Any, body: Body, client: Client | None, nodes: int) -> Receive:
        limits = self._limits
        if client is None:
            owner, slots, limit, seconds = (
                _address(scope),
                self._signed_slots,
                limits.signed_bodies,
                limits.times.signed_s,
            )
        else:
            owner, slots, limit, seconds = client.name, self._slots, limits.client_bodies, limits.times.keyed_s
        async with slots.taken(owner, limit, _WAIT_S):
            content = await body.whole(seconds)
        await to_thread.run_sync(check_json, content, nodes, limiter=self._guard_threads)
        return _replay(content, body)

    async def _client(self, scope: Any, policy: RoutePolicy, parameters: Mapping[str, str]) -> Client | None:
        """Return the client, or None for routes that are open, or verify a signature themselves."""
        address = _address(scope)
        if policy.scope is None:
            return None
        if policy.body == "event" and await self._is_by_signature(
            scope["headers"], address, parameters.get("hook", "")
        ):
            return None
        client = await self._authenticator.authenticate(credential_of(scope["headers"]), address)
        if (connection := _connection(scope)) is not None:
            connection.trust(address)
        require(client, policy.scope, parameters.get("endpoint"))
        scope[CLIENT] = client
        return client

    async def _take_turn(self, scope: Any) -> None:
        """Let requests of connections that no client has used yet wait for their turn: clients come first."""
        connection, address = _connection(scope), _address(scope)
        if connection is None or connection.is_trusted(address):
            return
        longest = self._limits.longest_wait_s
        wait = self._unknown.reserve(address, time.monotonic(), longest)
        if wait == 0.0:
            return
        if await connection.is_gone_within(longest if wait is None else wait):
            raise DisconnectedError
        if wait is None:  # Not at once: that would be an invitation to ask again.
            headers = {"Retry-After": "10", "Connection": "close"}
            raise ProblemError(429, "too many requests of this address", headers=headers)

    async def _is_by_signature(self, headers: list[tuple[bytes, bytes]], address: str, trigger: str) -> bool:
        """Tell if a trigger verifies a signature, and refuse messages whose signature cannot hold."""
        values = {name: value for name, value in headers if name in _SIGNED}
        if b"webhook-signature" not in values:
            return False
        self._authenticator.check_address(address)
        lookup = partial(self._is_signed, trigger)
        if not await to_thread.run_sync(lookup, limiter=self._trigger_threads):
            return False
        problem = _signature_problem(values)
        if problem:
            self._authenticator.refuse(address)
            detail = f"the signature does not hold: {problem}"
            raise ProblemError(401, detail, "header.webhook-signature")
        return True

    def _check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        if len(headers) > _MAX_HEADERS:
            raise ProblemError(431, f"{len(headers):,} header lines; at most {_MAX_HEADERS} are allowed")
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1:
            raise ProblemError(400, "the header Host is there twice")
        allowed = self._limits.hosts
        host = b"".join(hosts).decode("latin-1").lower()
        if allowed and host not in allowed and _without_port(host) not in allowed:
            raise ProblemError(400, "the header Host names none of the gateway's hosts; see MYRIAD_GATEWAY_HOSTS")

    def _max_bytes(self, policy: RoutePolicy) -> int:
        return self._limits.upload_bytes if policy.body == "upload" else self._limits.body_bytes

    def _routes(self) -> RouteTable:
        if self._table is None:
            self._table = self._find_table()
        return self._table


class _Answer:
    """Add the headers of every answer, and end the connection after a body that was not read."""

    def __init__(self, path: str, send: Send) -> None:
        self._send, self._path = send, path
        self.begun = self.body_is_unread = False
        self.body: Body | None = None
        self.route, self.status = "", 0

    def watched(self, receive: Receive) -> Receive:
        """Return `receive`; once the answer has begun, a body that breaks its limits just ends."""

        async def watch() -> Message:
            try:
                return await receive()
            except ProblemError:
                if self.begun:
                    return {"type": "http.disconnect"}
                raise

        return watch

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            headers = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
            if self._path not in _OPEN_TO_CACHES:
                headers.append((b"cache-control", b"no-store"))
            unread = self.body_is_unread if self.body is None else not self.body.complete
            if unread:
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        await self._send(message)


def _announces_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0") for name, value in headers
    )


def _replay(content: bytes, body: Body) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await body.stream()

    return receive


def _signature_problem(values: Mapping[bytes, bytes]) -> str:
    if not all(values.get(name) for name in _SIGNED):
        return "Missing required headers"
    try:
        age = time.time() - int(values[b"webhook-timestamp"][:20])
    except ValueError:
        return "Invalid Signature Headers"
    if abs(age) > _SIGNATURE_S:
        return "Message timestamp too old" if age > 0 else "Message timestamp too new"
    return ""


def _connection(scope: Any) -> Connection | None:
    connection: Connection | None = scope.get("state", {}).get("connection")
    return connection


def _address(scope: Any) -> str:
    return address_group(scope["client"][0]) if scope.get("client") else ""


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host
