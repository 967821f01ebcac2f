"""Tokens of an identity provider (JWT): the rules that they must follow, and the rights that they grant."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import RequestError
from domain.gateway.api_keys import JWT_PREFIX, MAX_NAME, SCOPES, Scope

__all__ = ["ALGORITHMS", "TokenRights", "TokenRules", "looks_like_token", "rights_of"]

ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key. None with a shared secret: whoever can check such a signature can make it."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class TokenRules:
    """Rules for the tokens of one issuer.

    issuer, audience : required values of `iss` and `aud`. leeway_s : allowed difference of clocks.
    scope_claim : holds scopes, as a text with spaces or a list; those that begin with `scope_prefix` are ours.
    endpoint_claim : a list of endpoints that the token is limited to; without it: all.
    """

    issuer: str
    audience: str
    leeway_s: int = 60
    scope_claim: str = "scope"
    scope_prefix: str = "myriad:"
    endpoint_claim: str = "myriad_endpoints"


@dataclass(frozen=True)
class TokenRights:
    """Client and rights of a token. endpoints : none means all."""

    client: str
    scopes: tuple[Scope, ...]
    endpoints: tuple[str, ...]


def looks_like_token(text: str) -> bool:
    """Tell a signed token by its three parts; keys of our own have no dots."""
    return _TOKEN.fullmatch(text) is not None


def rights_of(claims: Mapping[str, Any], rules: TokenRules) -> TokenRights:
    """Return the rights of a token whose signature holds.

    Raises
    ------
    RequestError
        For claims whose form has no meaning, such as a list for `sub`.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise RequestError("token: `sub` is missing, or not a text")
    if any("\ud800" <= character <= "\udfff" for character in subject):
        raise RequestError("token: `sub` is not valid Unicode: it has half a surrogate pair")
    scopes = _texts(claims.get(rules.scope_claim, ""), rules.scope_claim)
    ours = {text.removeprefix(rules.scope_prefix) for text in scopes if text.startswith(rules.scope_prefix)}
    endpoints = claims.get(rules.endpoint_claim)
    limited = () if endpoints is None else _texts(endpoints, rules.endpoint_claim)
    if endpoints is not None and not limited:
        raise RequestError(f"token: `{rules.endpoint_claim}` is empty: it is for no endpoint")
    return TokenRights(_name(subject), tuple(scope for scope in SCOPES if scope in ours), limited)


def _texts(value: object, claim: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise RequestError(f"token: `{claim}` must be a text or a list of texts")


def _name(subject: str) -> str:
    """Name of the client in the database and the audit; no key can have the same, since theirs have no such prefix."""
    name = f"{JWT_PREFIX}{subject}"
    if len(name) <= MAX_NAME and name.isprintable():
        return name
    return f"{JWT_PREFIX}{hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()}"
