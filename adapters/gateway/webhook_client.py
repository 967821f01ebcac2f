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
from domain.gateway.kept_text import abridged, text_problem

__all__ = ["check_secret", "documents_of", "send", "verify_signature"]

_TIMEOUT_S = 15.0
_LONGEST_ID = 2_048


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
    """Return the documents of a request, each with the id from its sender, if there is one.

    CloudEvents in binary, structured and batch mode are accepted, and plain JSON.

    Raises
    ------
    RequestError
        For any other body.
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
        raise ContentTypeError(f"content-type: {abridged(kind)} is not accepted; send application/json or CloudEvents")
    return [(None, _json(body))]


def _event(body: bytes, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    try:
        event = from_http_event(HTTPMessage(headers=dict(headers), body=body))
        identity = f"{event.get_source()} {event.get_id()}"
        content = {"specversion": event.get_specversion(), "type": event.get_type(), "subject": event.get_subject()}
        data = event.get_data()
        if isinstance(data, str):
            data = data.encode()
    # The library raises exceptions of many kinds for what senders do wrong.
    except Exception as exc:
        raise RequestError(f"not a CloudEvent that can be read: {abridged(str(exc))}") from exc
    if problem := text_problem(identity, _LONGEST_ID):
        raise RequestError(f"source and id of the CloudEvent cannot be recorded: {problem}")
    return identity, content | {"data": _json(data) if isinstance(data, bytes) else data}


def _json(body: bytes) -> Any:
    try:
        # Not json.loads(bytes): that one lets half characters pass.
        return json.loads(body.decode("utf-8"))
    except RecursionError as exc:
        raise RequestError("the body is no JSON that can be read: it is nested too deeply") from exc
    except ValueError as exc:
        raise RequestError(f"the body is no JSON in UTF-8: {abridged(str(exc))}") from exc
