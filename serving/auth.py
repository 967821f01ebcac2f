"""Who asks, and what they may: keys and tokens with scopes, limits of rate and size. All else is refused."""

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.security import APIKeyHeader, HTTPBearer

from adapters.gateway.jwks import TokenVerifier
from adapters.gateway.store import GatewayStore
from domain.errors import RequestError
from domain.gateway.api_keys import Key, Scope, allows, matches, prefix_of
from domain.gateway.jwt_claims import looks_like_token
from serving.problem_details import ProblemError

__all__ = ["Authenticator", "BodyLimit", "Client", "RateLimit", "allow"]

_ASK = {"WWW-Authenticate": 'Bearer realm="myriad"'}
_REFUSED = {"WWW-Authenticate": 'Bearer realm="myriad", error="invalid_token"'}
_MOST_CLIENTS = 10_000
_bearer = HTTPBearer(auto_error=False, description="A key of `myriad keys create`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, in a header of its own.")


@dataclass(frozen=True)
class Client:
    """Who asks. credential : what errors call the key or token that was used."""

    name: str
    credential: str
    scopes: tuple[str, ...]
    endpoints: tuple[str, ...]

    def may_use(self, endpoint: str) -> bool:
        return not self.endpoints or endpoint in self.endpoints


class RateLimit:
    """A token bucket per client, held in this process: a rate per second, and a cap on bursts."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._rate, self._most = per_second, float(at_once)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, client: str, now: float) -> float:
        """Take a token; 0.0, or the seconds until there is one."""
        with self._lock:
            left, seen = self._left.pop(client, (self._most, now))
            left = min(self._most, left + (now - seen) * self._rate)
            wait = 0.0 if left >= 1 else (1 - left) / self._rate
            self._left[client] = (left if wait else left - 1, now)
            while len(self._left) > _MOST_CLIENTS:
                self._left.popitem(last=False)
            return wait


class Authenticator:
    """Knows clients by their keys, or by tokens of an identity provider."""

    def __init__(
        self, store: GatewayStore, limit: RateLimit, unauthenticated: RateLimit, tokens: TokenVerifier | None = None
    ) -> None:
        """limit : of each client. unauthenticated : of each address that sends a wrong key, or none."""
        self._store, self._limit, self._unauthenticated, self._tokens = store, limit, unauthenticated, tokens

    def client(self, key: str | None, address: str) -> Client:
        """Whose key this is. Raises ProblemError, which says no more about a wrong key than that it is wrong."""
        now = time.monotonic()
        if key is None:
            self._limit_unauthenticated(address, now)
            raise ProblemError(401, "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", headers=_ASK)
        if self._tokens is not None and looks_like_token(key):
            return self._of_token(self._tokens, key, address, now)
        prefix = prefix_of(key)
        record = self._store.keys.get(prefix) if prefix else None
        if record is None or not matches(key, record.digest):
            self._limit_unauthenticated(address, now)
            raise ProblemError(401, "the key is not known", headers=_ASK)
        if not record.holds_at(datetime.now(UTC)):
            raise ProblemError(401, _why_not(record), headers=_ASK)
        self._wait(self._limit.take(record.client, now))
        return Client(record.client, f"key {record.prefix}", record.scopes, record.endpoints)

    def _of_token(self, tokens: TokenVerifier, token: str, address: str, now: float) -> Client:
        try:
            rights = tokens.rights(token)
        except RequestError as exc:
            self._limit_unauthenticated(address, now)
            raise ProblemError(401, str(exc), headers=_REFUSED) from exc
        self._wait(self._limit.take(rights.client, now))
        return Client(rights.client, f"token of {rights.client}", rights.scopes, rights.endpoints)

    def refuse(self, address: str) -> None:
        """Somebody at this address came with a wrong signature. Raises ProblemError if that happens too often."""
        self._limit_unauthenticated(address, time.monotonic())

    def _limit_unauthenticated(self, address: str, now: float) -> None:
        self._wait(self._unauthenticated.take(address, now))

    def _wait(self, seconds: float) -> None:
        if seconds:
            headers = {"Retry-After": str(max(1, round(seconds)))}
            raise ProblemError(429, f"too many requests; wait {seconds:.1f} s", headers=headers)


def _why_not(key: Key) -> str:
    if key.revoked_at:
        return f"key {key.prefix} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC"
    return f"key {key.prefix} expired on {key.expires_at:%Y-%m-%d %H:%M} UTC"


def allow(scope: Scope) -> Callable[..., Awaitable[Client]]:
    """A dependency of a route: only clients with this scope, and only at their endpoints."""

    async def allowed(request: Request) -> Client:
        from starlette.concurrency import run_in_threadpool

        bearer = await _bearer(request)
        key = bearer.credentials if bearer else await _header(request)
        authenticator: Authenticator = request.app.state.authenticator
        address = request.client.host if request.client else ""
        client = await run_in_threadpool(authenticator.client, key, address)
        if not allows(client.scopes, scope):
            has = ", ".join(client.scopes) or "none"
            raise ProblemError(403, f"{client.credential}: the scope {scope} is needed, it has: {has}")
        endpoint = request.path_params.get("endpoint")
        if endpoint is not None and not client.may_use(endpoint):
            raise ProblemError(403, f"{client.credential}: it is not for endpoint {endpoint}")
        return client

    return allowed


Message = MutableMapping[str, Any]


class BodyLimit:
    """ASGI middleware: bodies that are too large are refused by their announced length, or as soon as they are."""

    def __init__(self, app: Any, most_bytes: int, most_upload_bytes: int) -> None:
        self._app, self._most, self._most_upload = app, most_bytes, most_upload_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most_upload if scope["path"].endswith("/uploads") else self._most
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not announced.isdigit() or int(announced) > most:
            await _too_large(most)(scope, receive, send)
            return
        seen, begun = 0, False

        async def counted() -> Message:
            nonlocal seen
            message: Message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _TooLargeError
            return message

        async def answered(message: Message) -> None:
            nonlocal begun
            # What the app makes of a body that breaks off is no answer: it broke off here.
            if seen <= most:
                begun = True
                await send(message)

        with suppress(_TooLargeError):
            await self._app(scope, counted, answered)
        if seen > most and not begun:
            await _too_large(most)(scope, receive, send)


class _TooLargeError(Exception):
    pass


def _too_large(most: int) -> Any:
    from fastapi.responses import JSONResponse

    from serving.problem_details import MEDIA_TYPE, Problem

    problem = Problem(
        title="Content Too Large", status=413, detail=f"the body is larger than the {most:,} bytes that are allowed"
    )
    return JSONResponse(problem.model_dump(), 413, {"Connection": "close"}, media_type=MEDIA_TYPE)
