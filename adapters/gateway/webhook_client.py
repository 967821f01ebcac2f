"""Webhooks in the formats of others: CloudEvents in HTTP, and signatures of Standard Webhooks."""

import asyncio
import functools
import json
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook, WebhookVerificationError

from domain.errors import ContentTypeError, RequestError, SignatureError
from domain.gateway.kept_text import abridged, text_problem

__all__ = ["DEADLINE_S", "documents_of", "send", "verify_signature"]

DEADLINE_S = 10.0
"""Seconds for a delivery as a whole: connection, request and status of the answer."""
_LONGEST_ID = 2_048


def verify_signature(secrets: Sequence[str], body: bytes, headers: Mapping[str, str]) -> None:
    """Check that the body has the signature of one of the secrets, and is at most five minutes old.

    Raises
    ------
    SignatureError
        With the reason, if none of them holds.
    """
    problem = SignatureError("no secret is set")
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as exc:
            problem = SignatureError(str(exc) or type(exc).__name__)
        else:
            return
    raise problem


def send(url: str, secrets: Sequence[str], identity: str, body: str) -> str:
    """Post a message, signed with every secret; return empty if it was taken, else the reason.

    The whole exchange has a deadline, since a receiver may send a byte now and then for ever; the body of the answer is
    not read. Redirects are not followed.
    """
    moment = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "myriad",
        "webhook-id": identity,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(identity, moment, body) for secret in secrets),
    }
    try:
        status = asyncio.run(_post(url, body.encode(), headers))
    except TimeoutError:
        return f"no answer within {DEADLINE_S:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        return f"{type(exc).__name__}: {exc}"
    return "" if 200 <= status < 300 else f"answered with {status}"


async def _post(url: str, content: bytes, headers: Mapping[str, str]) -> int:
    async with (
        asyncio.timeout(DEADLINE_S),
        httpx.AsyncClient(verify=_tls(), timeout=DEADLINE_S, follow_redirects=False) as client,
        client.stream("POST", url, content=content, headers=dict(headers)) as answer,
    ):
        return answer.status_code


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Return one context for all messages: to load the authorities takes longer than to send a message."""
    return httpx.create_ssl_context()


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
    # SNS sends JSON as plain text.
    if kind not in ("application/json", "") and "x-amz-sns-message-type" not in headers:
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
