"""Verification of tokens against the published keys (JWKS) of an identity provider."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from adapters.gateway.key_set import KeySet
from domain.errors import RequestError, SettingsError
from domain.gateway.jwt_claims import ALGORITHMS, TokenRights, TokenRules, rights_of

__all__ = ["TokenVerifier", "check_place_of_keys"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CLAIM_ERRORS = (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError)
"""Errors of the library for contents that it does not expect, such as a time of 1e400."""


class TokenVerifier:
    """Verify tokens of one issuer."""

    def __init__(self, rules: TokenRules, keys: str, clock: Callable[[], float] = time.monotonic) -> None:
        """keys : address of the key set, https://... or a file."""
        self._rules, self._keys = rules, KeySet(keys, clock)

    def start(self) -> None:
        """Begin to fetch the keys, so that the first token need not wait for them."""
        self._keys.refresh()

    def rights(self, token: str) -> TokenRights:
        """Return the rights that a token grants.

        Raises
        ------
        RequestError
            With what is wrong with the token.
        GatewayError
            If the provider's keys are not known, and cannot be fetched within a moment.
        """
        try:
            header = jwt.get_unverified_header(token)
        except _CLAIM_ERRORS as exc:
            raise RequestError(f"token: it cannot be read: {exc}") from exc
        key = self._keys.key(header.get("kid"))
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
            raise RequestError(f"token: it expired{_time_of(token, 'exp')}; get a new one") from exc
        except jwt.ImmatureSignatureError as exc:
            start = _time_of(token, "nbf", "iat")
            raise RequestError(
                f"token: it holds from{start} only; here it is {_text(time.time())}: a clock is wrong"
            ) from exc
        except jwt.InvalidAudienceError as exc:
            raise RequestError(f"token: `aud` is not {rules.audience}") from exc
        except jwt.InvalidIssuerError as exc:
            raise RequestError(f"token: `iss` is not {rules.issuer}") from exc
        except _CLAIM_ERRORS as exc:
            raise RequestError(f"token: {exc}") from exc
        return claims


def check_place_of_keys(place: str) -> None:
    """Raise SettingsError unless it is an existing file, or an address that nobody on the way can change."""
    parts = urlsplit(place)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    if "://" in place:
        raise SettingsError(f"MYRIAD_JWT_KEYS: {place}: whoever is on the way could change the keys; use https://")
    if not Path(place).is_file():
        raise SettingsError(f"MYRIAD_JWT_KEYS: {place}: there is no such file")


def _algorithms(key: jwt.PyJWK) -> tuple[str, ...]:
    of_type = ALGORITHMS[str(key.key_type)]
    return (key.algorithm_name,) if key.algorithm_name in of_type else of_type


def _time_of(token: str, *claims: str) -> str:
    """Return the latest of these times in a token whose signature was verified before."""
    content = jwt.decode(token, options={"verify_signature": False})
    moments = [content[claim] for claim in claims if isinstance(content.get(claim), int | float)]
    return f" {_text(max(moments))}" if moments else ""


def _text(moment: float) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(moment)
