"""Webhooks as others send them: CloudEvents in HTTP, and signatures of Standard Webhooks."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from domain.errors import ContentTypeError, RequestError, SettingsError, SignatureError

__all__ = ["check_secret", "documents_of", "send", "verify_signature"]


_TIMEOUT_S = 15.0


def check_secret(name: str, secret: str) -> None:
    """Raises SettingsError if the variable's secret is none that Standard Webhooks signs with."""
    try:
        Webhook(secret)
    except (EmptyWebhookSecretError, ValueError) as exc:
        raise SettingsError(
            f"{name}: no secret of Standard Webhooks; give whsec_ and 24 to 64 bytes as base64"
        ) from exc


def verify_signature(secret: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Check that the body has this secret's signature and is at most five minutes old.

    Raises
    ------
    SignatureError
        With what is wrong, if it is not.
    """
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as exc:
        raise SignatureError(str(exc) or type(exc).__name__) from exc


def send(url: str, secret: str, identity: str, body: str) -> str:
    """Post a signed message; empty if it was taken, else what went wrong. Redirects are not followed."""
    moment = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "myriad",
        "webhook-id": identity,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(identity, moment, body),
    }
    try:
        answer = httpx.post(url, content=body.encode(), headers=headers, timeout=_TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return f"{type(exc).__name__}: {exc}"
    return "" if answer.is_success else f"answered with {answer.status_code}"


def documents_of(body: bytes, headers: Mapping[str, str]) -> list[tuple[str | None, Any]]:
    """Documents of a request, each with the id that its sender gave it, if any.

    Takes CloudEvents in binary, structured and batch mode, and plain JSON. Raises RequestError for any other body.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        events = _json(body)
        if not isinstance(events, list):
            raise RequestError("a batch of CloudEvents is a list")
        return [
            _event(json.dumps(event).encode(), {"content-type": "application/cloudevents+json"}) for event in events
        ]
    if "ce-specversion" in headers or kind == "application/cloudevents+json":
        return [_event(body, headers)]
    if kind not in ("application/json", ""):
        raise ContentTypeError(f"content-type: {kind} is not taken; send application/json or CloudEvents")
    document = _json(body)
    return [(None, document)]


def _event(body: bytes, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    try:
        event = from_http_event(HTTPMessage(headers=dict(headers), body=body))
    # The library raises exceptions of many kinds for what senders do wrong.
    except Exception as exc:
        raise RequestError(f"not a CloudEvent that can be read: {exc}") from exc
    data = event.get_data()
    if isinstance(data, str | bytes):
        data = _json(data if isinstance(data, bytes) else data.encode())
    content = {"specversion": event.get_specversion(), "type": event.get_type(), "subject": event.get_subject()}
    return f"{event.get_source()} {event.get_id()}", content | {"data": data}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, UnicodeDecodeError) as exc:
        raise RequestError(f"the body is no JSON: {exc}") from exc
