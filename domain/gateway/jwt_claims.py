"""Tokens of an identity provider (JWT): what the gateway asks of them, and what they allow."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import RequestError
from domain.gateway.api_keys import SCOPES, Scope

__all__ = ["ALGORITHMS", "TokenRights", "TokenRules", "looks_like_token", "rights_of"]

ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key. None with a shared secret: whoever can check such a signature can make it."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_NAME = 64


@dataclass(frozen=True)
class TokenRules:
    """issuer, audience : what `iss` and `aud` must be. leeway_s : by how much clocks may differ.

    scope_claim : has scopes, as a text with spaces or a list; those that begin with `scope_prefix` are ours.
    endpoint_claim : a list of endpoints that the token is for; without it: all.
    """

    issuer: str
    audience: str
    leeway_s: int = 60
    scope_claim: str = "scope"
    scope_prefix: str = "myriad:"
    endpoint_claim: str = "myriad_endpoints"


@dataclass(frozen=True)
class TokenRights:
    """Whose token it is, and what it allows. endpoints : none means all."""

    client: str
    scopes: tuple[Scope, ...]
    endpoints: tuple[str, ...]


def looks_like_token(text: str) -> bool:
    """Whether a text has the three parts of a signed token; keys of our own have no dots."""
    return _TOKEN.fullmatch(text) is not None


def rights_of(claims: Mapping[str, Any], rules: TokenRules) -> TokenRights:
    """What the claims of a token whose signature holds allow.

    Raises RequestError for claims of a form that nobody can have meant.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise RequestError("token: `sub` is missing: whose token is it?")
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
    """Of the client, as the database and the audit keep it; no key can have the same, since theirs have no colon."""
    name = f"jwt:{subject}"
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    return f"jwt:{hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()}"
