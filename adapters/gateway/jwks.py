"""Checks tokens of an identity provider against its published keys (JWKS)."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from domain.errors import GatewayError, RequestError, SettingsError
from domain.gateway.jwt_claims import ALGORITHMS, TokenRights, TokenRules, rights_of

__all__ = ["TokenVerifier", "check_place_of_keys"]

_LOG = logging.getLogger("myriad.gateway")
_FRESH_S = 600.0
_LEAST_PAUSE_S = 30.0
"""Between two looks for a key that is not known: whoever sends nonsense must not have us ask the provider each time."""
_MOST_BYTES = 1 << 20
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class TokenVerifier:
    """Tokens of one issuer. keys : address of its key set, https://... or a file."""

    def __init__(self, rules: TokenRules, keys: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._place, self._clock = rules, keys, clock
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._read_at = -float("inf")
        self._lock = threading.Lock()

    def rights(self, token: str) -> TokenRights:
        """What a token allows.

        Raises RequestError that says what is wrong with it, GatewayError if the keys cannot be had.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as exc:
            raise RequestError(f"token: it cannot be read: {exc}") from exc
        key = self._key(header.get("kid"))
        allowed = _algorithms(key)
        if header.get("alg") not in allowed:
            raise RequestError(
                f"token: algorithm {header.get('alg')!r} is not taken; its key is for {', '.join(allowed)}"
            )
        return rights_of(self._claims(token, key, allowed), self._rules)

    def _claims(self, token: str, key: jwt.PyJWK, allowed: tuple[str, ...]) -> Mapping[str, Any]:
        rules = self._rules
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=list(allowed),
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway_s,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as exc:
            raise RequestError(f"token: it expired{_when(token, 'exp')}; get a new one") from exc
        except jwt.ImmatureSignatureError as exc:
            problem = (
                f"it holds from{_when(token, 'nbf', 'iat')} only; here it is {_text(time.time())}: a clock is wrong"
            )
            raise RequestError(f"token: {problem}") from exc
        except jwt.InvalidAudienceError as exc:
            raise RequestError(f"token: `aud` is not {rules.audience}") from exc
        except jwt.InvalidIssuerError as exc:
            raise RequestError(f"token: `iss` is not {rules.issuer}") from exc
        except jwt.InvalidTokenError as exc:
            raise RequestError(f"token: {exc}") from exc
        return claims

    def _key(self, identity: object) -> jwt.PyJWK:
        name = identity if isinstance(identity, str) else None
        with self._lock:
            age = self._clock() - self._read_at
            if age > _FRESH_S or (name not in self._keys and age > _LEAST_PAUSE_S):
                self._read()
            if name is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            key = self._keys.get(name) if name is not None else None
        if key is None:
            raise RequestError(f"token: its key {name!r} is none of the issuer's")
        return key

    def _read(self) -> None:
        """Keep what was known where the keys cannot be had; raises GatewayError if nothing is."""
        self._read_at = self._clock()
        try:
            self._keys = _usable(json.loads(_content(self._place)))
        except (OSError, ValueError, httpx.HTTPError, jwt.PyJWTError) as exc:
            if not self._keys:
                self._read_at = -float("inf")
                raise GatewayError(f"MYRIAD_JWT_KEYS: {self._place} cannot be used: {exc}") from exc
            _LOG.warning("MYRIAD_JWT_KEYS: %s cannot be read, what was known stays: %s", self._place, exc)


def check_place_of_keys(place: str) -> None:
    """Raises SettingsError unless it is a file that is there, or an address that nobody on the way can change."""
    parts = urlsplit(place)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    if "://" in place:
        raise SettingsError(f"MYRIAD_JWT_KEYS: {place}: whoever is on the way could change the keys; use https://")
    if not Path(place).is_file():
        raise SettingsError(f"MYRIAD_JWT_KEYS: {place}: there is no such file")


def _content(place: str) -> bytes:
    if "://" not in place:
        return Path(place).read_bytes()
    with httpx.stream("GET", place, timeout=5.0, follow_redirects=False) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"status {answer.status_code}")
        content = b""
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES:,} bytes")
    return content


def _usable(document: object) -> dict[str | None, jwt.PyJWK]:
    """Keys by id, of the types that we take. Raises ValueError where there is none."""
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    usable = [key for key in keys if key.get("kty") in ALGORITHMS and key.get("use", "sig") == "sig"]
    if not usable:
        raise ValueError(f"it has no public key of type {', '.join(ALGORITHMS)} for signatures")
    return {key.get("kid"): jwt.PyJWK.from_dict(key) for key in usable}


def _algorithms(key: jwt.PyJWK) -> tuple[str, ...]:
    of_type = ALGORITHMS[str(key.key_type)]
    return (key.algorithm_name,) if key.algorithm_name in of_type else of_type


def _when(token: str, *claims: str) -> str:
    """When a claim of a token says, whose signature was checked before its times."""
    content = jwt.decode(token, options={"verify_signature": False})
    moments = [content[claim] for claim in claims if isinstance(content.get(claim), int | float)]
    return f" {_text(max(moments))}" if moments else ""


def _text(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(moment)
