"""Authentication of clients by keys and tokens, and the scopes that routes require."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from adapters.gateway.jwks import TokenVerifier
from adapters.gateway.store import GatewayStore
from domain.errors import RequestError
from domain.gateway.api_keys import Key, Scope, allows, matches, prefix_of
from domain.gateway.jwt_claims import looks_like_token
from serving.limits import RateLimit, address_group
from serving.problem_details import ProblemError

__all__ = [
    "SENDER_SCOPE",
    "Authenticator",
    "BodyKind",
    "Client",
    "allow",
    "body_kind",
    "credential_of",
    "require",
    "required_scope",
    "takes_body",
]

BodyKind = Literal["none", "json", "event", "upload"]
SENDER_SCOPE: Scope = "score"
"""Scope that senders of events need, unless they sign."""
CLIENT = "myriad.client"
"""Item of the ASGI scope that holds the client, once it is authenticated."""
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="myriad"'}
_INVALID_TOKEN = {"WWW-Authenticate": 'Bearer realm="myriad", error="invalid_token"'}
_MAX_CREDENTIAL = 8192
_KEY_THREADS, _TOKEN_THREADS = 4, 4
_Route = TypeVar("_Route", bound=Callable[..., Any])


@dataclass(frozen=True)
class Client:
    """An authenticated client. credential : name of its key or token in messages."""

    name: str
    credential: str
    scopes: tuple[str, ...]
    endpoints: tuple[str, ...]

    def may_use(self, endpoint: str) -> bool:
        return not self.endpoints or endpoint in self.endpoints


class Authenticator:
    """Authenticate clients by API keys, or by tokens of an identity provider."""

    def __init__(
        self, store: GatewayStore, limit: RateLimit, unauthenticated: RateLimit, tokens: TokenVerifier | None = None
    ) -> None:
        """limit : of each client. unauthenticated : of each address that sends a wrong key, or none."""
        self._store, self._limit, self._unauthenticated, self._tokens = store, limit, unauthenticated, tokens
        # Threads of their own: keys are checked even while all others wait for something slow.
        self._key_threads, self._token_threads = CapacityLimiter(_KEY_THREADS), CapacityLimiter(_TOKEN_THREADS)

    def start(self) -> None:
        """Begin to fetch the identity provider's keys, if there is one."""
        if self._tokens is not None:
            self._tokens.start()

    async def authenticate(self, credential: str | None, address: str) -> Client:
        """Return the client of a key or token, within its rate. Raises ProblemError, as `client` does."""
        if credential is None:
            return self.client(None, address)
        is_token = self._tokens is not None and looks_like_token(credential)
        threads = self._token_threads if is_token else self._key_threads
        return await to_thread.run_sync(partial(self.client, credential, address), limiter=threads)

    def client(self, credential: str | None, address: str) -> Client:
        """Return the client of a key or token.

        Raises
        ------
        ProblemError
            Which says no more about a wrong key than that it is wrong.
        """
        now = time.monotonic()
        if credential is None:
            self._count_failure(address, now)
            raise ProblemError(401, "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", headers=_CHALLENGE)
        if self._tokens is not None and looks_like_token(credential):
            return self._of_token(self._tokens, credential, address, now)
        prefix = prefix_of(credential)
        record = self._store.keys.get(prefix) if prefix else None
        if record is None or not matches(credential, record.digest):
            self._count_failure(address, now)
            raise ProblemError(401, "the key is not known", headers=_CHALLENGE)
        if not record.holds_at(datetime.now(UTC)):
            raise ProblemError(401, _end_of(record), headers=_CHALLENGE)
        _require_wait(self._limit.take(record.client, now))
        return Client(record.client, f"key {record.prefix}", record.scopes, record.endpoints)

    def _of_token(self, tokens: TokenVerifier, token: str, address: str, now: float) -> Client:
        try:
            rights = tokens.rights(token)
        except RequestError as exc:
            self._count_failure(address, now)
            raise ProblemError(401, str(exc), headers=_INVALID_TOKEN) from exc
        _require_wait(self._limit.take(rights.client, now))
        return Client(rights.client, f"token of {rights.client}", rights.scopes, rights.endpoints)

    def refuse(self, address: str) -> None:
        """Count a wrong signature of an address. Raises ProblemError if there were too many."""
        self._count_failure(address_group(address), time.monotonic())

    def check_address(self, address: str) -> None:
        """Raise ProblemError if an address has failed too often of late."""
        _require_wait(self._unauthenticated.wait(address, time.monotonic()))

    def _count_failure(self, address: str, now: float) -> None:
        _require_wait(self._unauthenticated.take(address, now))


def credential_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the key or token in the headers of a request. Raises ProblemError if it cannot be one."""
    values: Mapping[bytes, list[bytes]] = {b"authorization": [], b"x-api-key": []}
    for name, value in headers:
        if name in values:
            values[name].append(value)
    if any(len(repeated) > 1 for repeated in values.values()):
        raise ProblemError(401, "Authorization or X-API-Key is there twice; send it once", headers=_CHALLENGE)
    bearer = b"".join(values[b"authorization"]).decode("latin-1")
    scheme, _, credential = bearer.partition(" ")
    text = credential.strip() if scheme.lower() == "bearer" else ""
    text = text or b"".join(values[b"x-api-key"]).decode("latin-1")
    if len(text) > _MAX_CREDENTIAL:
        raise ProblemError(401, f"the key or token has more than {_MAX_CREDENTIAL:,} characters", headers=_CHALLENGE)
    return text or None


def require(client: Client, scope: Scope, endpoint: str | None) -> None:
    """Raise ProblemError unless the client has a scope, and may use an endpoint."""
    if not allows(client.scopes, scope):
        has = ", ".join(client.scopes) or "none"
        raise ProblemError(403, f"{client.credential}: the scope {scope} is needed, it has: {has}")
    if endpoint is not None and not client.may_use(endpoint):
        raise ProblemError(403, f"{client.credential}: it is not for endpoint {endpoint}")


class _Allow:
    """Dependency of a route: the client, which was authenticated before the route was reached."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Client:
        client: Client | None = request.scope.get(CLIENT)
        if client is None:
            raise ProblemError(401, "a key is needed: Authorization: Bearer KEY, or X-API-Key: KEY", headers=_CHALLENGE)
        require(client, self.scope, request.path_params.get("endpoint"))
        return client


def allow(scope: Scope) -> _Allow:
    """Require a scope of the clients of a route, and that its endpoint is one of theirs.

    The middleware reads the scope from the route, and refuses all others before it reads their body.
    """
    return _Allow(scope)


def required_scope(dependency: object) -> Scope | None:
    """Return the scope that a dependency of a route requires, if it is one of `allow`."""
    return dependency.scope if isinstance(dependency, _Allow) else None


def takes_body(kind: BodyKind) -> Callable[[_Route], _Route]:
    """Declare that a route reads its body itself: an `upload` as a stream, or an `event` that may be signed."""

    def declare(route: _Route) -> _Route:
        route.__dict__["body_kind"] = kind
        return route

    return declare


def body_kind(route: object) -> BodyKind | None:
    """Return the kind of body that a route has declared."""
    kind: BodyKind | None = getattr(route, "body_kind", None)
    return kind


def _require_wait(seconds: float) -> None:
    if seconds:
        headers = {"Retry-After": str(max(1, round(seconds)))}
        raise ProblemError(429, f"too many requests; wait {seconds:.1f} s", headers=headers)


def _end_of(key: Key) -> str:
    if key.revoked_at:
        return f"key {key.prefix} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC"
    return f"key {key.prefix} expired on {key.expires_at:%Y-%m-%d %H:%M} UTC"
