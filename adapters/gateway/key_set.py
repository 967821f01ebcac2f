"""The published keys (JWKS) of an identity provider, fetched by a thread of their own."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from domain.errors import GatewayError, RequestError
from domain.gateway.jwt_claims import ALGORITHMS

__all__ = ["KeySet"]

_LOG = logging.getLogger("myriad.gateway")
_FRESH_S = 600.0
_PAUSE_S = 30.0
"""Between two fetches for an unknown key, and after one that failed: nonsense must not make us ask the provider."""
_WAIT_S = 1.0
"""Requests wait for a fetch until it is this old; a silent provider holds nobody up for longer."""
_TIMEOUT_S = 3.0
_MAX_FETCH_S = 5.0
_MAX_BYTES = 1 << 20
_MIN_RSA_BITS = 2048
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_NEVER = -float("inf")


class KeySet:
    """Keys by id. One fetch at a time, by a thread of its own, and none for a while after one that failed."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        """place : address of the key set, or a file."""
        self._place, self._clock = place, clock
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._begun_at, self._begun, self._failure = _NEVER, _NEVER, ""
        self._done = threading.Event()
        self._done.set()
        self._lock = threading.Lock()

    def key(self, identity: object) -> jwt.PyJWK:
        """Return the key of an id; without an id, the only key.

        Raises
        ------
        RequestError
            If the issuer has no such key.
        GatewayError
            If no keys are known, and none could be fetched within a moment.
        """
        name = identity if isinstance(identity, str) else None
        key = self._known(name)
        age = self._clock() - self._begun_at
        if age > (_FRESH_S if key is not None else _PAUSE_S):
            self.refresh()
        if key is None:
            self._wait()
            key = self._known(name)
        if key is not None:
            return key
        if not self._keys:
            problem = self._failure or "it does not answer"
            raise GatewayError(f"MYRIAD_JWT_KEYS: {self._place} cannot be used: {problem}")
        raise RequestError(f"token: its key {name!r} is none of the issuer's")

    def refresh(self) -> None:
        """Fetch the keys in the background, unless a fetch is under way."""
        with self._lock:
            if not self._done.is_set():
                return
            self._done.clear()
            self._begun_at, self._begun = self._clock(), time.monotonic()
        threading.Thread(target=self._fetch, name="myriad-jwks", daemon=True).start()

    def _known(self, name: str | None) -> jwt.PyJWK | None:
        keys = self._keys
        if name is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(name)

    def _wait(self) -> None:
        if not self._done.is_set():
            self._done.wait(max(0.0, self._begun + _WAIT_S - time.monotonic()))

    def _fetch(self) -> None:
        """Replace the keys, or keep those that are known and remember the failure."""
        try:
            self._keys, self._failure = _usable(json.loads(_content(self._place))), ""
        except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError) as exc:
            self._failure = str(exc) or type(exc).__name__
            _LOG.warning("MYRIAD_JWT_KEYS: %s cannot be read: %s", self._place, self._failure)
        finally:
            self._done.set()


def _content(place: str) -> bytes:
    if "://" not in place:
        return Path(place).read_bytes()
    deadline = time.monotonic() + _MAX_FETCH_S
    content = bytearray()
    with httpx.stream("GET", place, timeout=_TIMEOUT_S, follow_redirects=False) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"status {answer.status_code}")
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise ValueError(f"it takes longer than {_MAX_FETCH_S:g} s")
    return bytes(content)


def _usable(document: object) -> dict[str | None, jwt.PyJWK]:
    """Return the keys of the accepted types by id; raise ValueError if there is none."""
    listed = document.get("keys") if isinstance(document, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    candidates = [entry for entry in entries if entry.get("kty") in ALGORITHMS and entry.get("use", "sig") == "sig"]
    if not candidates:
        raise ValueError(f"it has no public key of type {', '.join(ALGORITHMS)} for signatures")
    keys, weaknesses = dict[str | None, jwt.PyJWK](), list[str]()
    for entry in candidates:
        try:
            key = jwt.PyJWK.from_dict(entry)
            _check_strength(key)
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            weaknesses.append(f"key {entry.get('kid')!r}: {exc}")
        else:
            keys[entry.get("kid")] = key
    if not keys:
        raise ValueError("; ".join(weaknesses[:3]))
    for weakness in weaknesses[:3]:
        _LOG.warning("MYRIAD_JWT_KEYS: %s; it is not used", weakness)
    return keys


def _check_strength(key: jwt.PyJWK) -> None:
    public = key.key
    if isinstance(public, RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
        raise ValueError(f"RSA with {public.key_size} bits; at least {_MIN_RSA_BITS:,} are required")
    if isinstance(public, EllipticCurvePublicKey) and public.curve.name not in _CURVES:
        raise ValueError(f"curve {public.curve.name}; allowed are {', '.join(sorted(_CURVES))}")
