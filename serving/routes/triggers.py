"""Routes of triggers: events about files are recorded once each, and the job reconciler turns them into jobs."""

import logging
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from adapters.gateway.secrets import trigger_variable
from adapters.gateway.webhook_client import documents_of, verify_signature
from adapters.sources.fleet_files import load_fleet
from domain.errors import ContentTypeError, QuotaError, RequestError, SignatureError
from domain.gateway.file_events import FileEvent, check_event, file_events, is_input
from domain.gateway.jobs import check_place
from domain.gateway.triggers import Trigger, client_of
from serving.access import former_check, reaches
from serving.auth import allow, takes_body
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import Deps, Operator, Reader

__all__ = ["incoming", "router"]

router = APIRouter(tags=["triggers"], responses=answers(401, 403, 404, 413, 422, 429, 503))
incoming = APIRouter(tags=["triggers"], responses=answers(401, 403, 404, 413, 415, 422, 429, 503))
TriggerName = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", examples=["landing"])]
_EXAMPLE = {"uris": ["s3://raw/rides/2026-11-26.csv"]}
_OBJECT = {"schema": {"type": "object"}, "example": _EXAMPLE}
_BODY = {
    "required": True,
    "description": "An S3 notification, an EventBridge event, CloudEvents, or uris; also in envelopes of SNS and SQS.",
    "content": {
        "application/json": _OBJECT,
        "application/cloudevents+json": {"schema": {"type": "object"}},
        "application/cloudevents-batch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
    },
}
_LOG = logging.getLogger("myriad.gateway")
_MOST_FILES = 10_000
_MOST_LISTED = 20


class NamedTrigger(Trigger):
    """A trigger. url : where senders post events."""

    name: str
    url: str


class Triggers(BaseModel):
    """All triggers."""

    hooks: list[NamedTrigger]


class Taken(BaseModel):
    """Result of a message."""

    files: int = Field(description="Files in the message that match the trigger.")
    waiting: int = Field(description="New files among them, which will be scored.")
    repeated: bool = Field(description="The message was received before; nothing was recorded.")
    outside: list[str] = Field(
        description="Reasons for files left out, since they are outside the allowed locations; the first 20."
    )


@router.get("")
def list_triggers(deps: Deps, client: Reader) -> Triggers:
    """List all triggers."""
    return Triggers(
        hooks=[_view(name, hook) for name, hook in deps.store.triggers.all().items() if reaches(client, hook)]
    )


@router.put("/{hook}", responses=answers(409))
def put_trigger(hook: TriggerName, definition: Trigger, deps: Deps, client: Operator) -> NamedTrigger:
    """Create or change a trigger."""
    if not reaches(client, definition):
        raise ProblemError(403, f"{client.credential}: it is not for endpoint {definition.endpoint}")
    endpoint = deps.store.endpoints.get(definition.endpoint)
    if endpoint is None:
        raise ProblemError(422, f"body.endpoint: {definition.endpoint}: there is no such endpoint", "body.endpoint")
    if definition.deployment is not None and definition.deployment not in endpoint[0].deployments:
        known = ", ".join(endpoint[0].deployments)
        problem = f"body.deployment: {definition.deployment}: there is none; deployments: {known}"
        raise ProblemError(422, problem, "body.deployment")
    if definition.verification == "signature":
        _check_secret(deps, hook)
    if not deps.store.triggers.put(hook, definition, former_check(client, "hook", hook)):
        raise ProblemError(409, f"hook {hook}: another client changed it meanwhile; get it again")
    deps.store.audit.record(client.name, "hook.put", hook, definition.model_dump(mode="json"), definition.endpoint)
    return _view(hook, definition)


def _check_secret(deps: Dependencies, hook: str) -> None:
    """Refuse a trigger without a secret, or with that of another one, whose sender could sign for both."""
    variable = trigger_variable(hook)
    if not deps.secrets_of(hook):
        problem = f"body.verification: set {variable} for the gateway first, to a secret whsec_..."
        raise ProblemError(422, problem, "body.verification")
    for name, other in deps.store.triggers.all().items():
        if name != hook and other.verification == "signature" and trigger_variable(name) == variable:
            problem = f"body.verification: {variable} is the secret of another trigger; choose a name of other letters"
            raise ProblemError(422, problem, "body.verification")


@router.delete("/{hook}", status_code=204)
def delete_trigger(hook: TriggerName, deps: Deps, client: Operator) -> Response:
    """Delete a trigger; its files that wait for a job are dropped, and existing jobs stay."""
    endpoint = None
    if client.endpoints:  # Others may delete a record that cannot be read.
        former = deps.store.triggers.get(hook)
        if former is None or not reaches(client, former):
            raise _unknown(hook)
        endpoint = former.endpoint
    dropped = deps.store.triggers.delete(hook)
    if dropped is None:
        raise _unknown(hook)
    deps.store.audit.record(client.name, "hook.delete", hook, {"dropped": dropped}, endpoint)
    return Response(status_code=204)


@incoming.post("/{hook}", status_code=202, openapi_extra={"requestBody": _BODY})
@takes_body("event")
async def take_events(hook: TriggerName, request: Request, deps: Deps) -> Taken:
    """Receive events: S3 notifications, CloudEvents (binary, structured, batch), or `{"uris": [...]}`.

    Senders authenticate as the trigger requires: with a key with the scope `score`, or a Standard Webhooks signature.
    """
    definition = await run_in_threadpool(_of_name, deps, hook)
    body = await request.body()
    sender = await _sender(hook, definition, request, body, deps)
    return await run_in_threadpool(_take, hook, definition, body, dict(request.headers), sender, deps)


def _view(name: str, hook: Trigger) -> NamedTrigger:
    return NamedTrigger(name=name, url=f"/v1/triggers/{name}", **hook.model_dump())


def _of_name(deps: Dependencies, name: str) -> Trigger | None:
    return deps.store.triggers.get(name)


def _unknown(name: str) -> ProblemError:
    return ProblemError(404, f"hook {name}: there is none; make it with PUT /v1/triggers/{name}")


async def _sender(name: str, hook: Trigger | None, request: Request, body: bytes, deps: Dependencies) -> str:
    """Authenticate the sender. Only senders with a key learn that a trigger does not exist."""
    if hook is not None and hook.verification == "signature":
        secrets = deps.secrets_of(name)
        if not secrets:
            _LOG.warning("trigger %s: %s is not set for this gateway", name, trigger_variable(name))
            raise ProblemError(503, f"hook {name}: signatures cannot be verified now; the log of the gateway says why")
        try:
            verify_signature(secrets, body, dict(request.headers))
        except SignatureError as exc:
            request.app.state.authenticator.refuse(request.client.host if request.client else "")
            raise ProblemError(401, f"the signature does not hold: {exc}", "header.webhook-signature") from exc
        return client_of(name)
    client = await allow("score")(request)
    if hook is None:
        raise _unknown(name)
    if not client.may_use(hook.endpoint):
        raise ProblemError(403, f"{client.credential}: it is not for endpoint {hook.endpoint}")
    return client.name


def _take(
    name: str, hook: Trigger | None, body: bytes, headers: dict[str, str], sender: str, deps: Dependencies
) -> Taken:
    if hook is None:
        raise _unknown(name)
    try:
        documents = documents_of(body, headers)
    except ContentTypeError as exc:
        raise ProblemError(415, str(exc), "header.content-type") from exc
    except RequestError as exc:
        raise ProblemError(422, str(exc), "body") from exc
    matching = [_matching(hook, document) for _, document in documents]
    if (count := sum(map(len, matching))) > _MOST_FILES:
        raise ProblemError(422, f"body: {count:,} files in one message; at most {_MOST_FILES:,}", "body")
    results = [
        _note(name, hook, identity, events, headers, deps)
        for (identity, _), events in zip(documents, matching, strict=True)
    ]
    files, waiting = sum(len(result.files) for result in results), sum(result.waiting or 0 for result in results)
    outside = [reason for result in results for reason in result.outside]
    if waiting or outside:
        detail = {"waiting": waiting, "outside": outside[:_MOST_LISTED]}
        deps.store.audit.record(sender, "hook.files", name, detail, hook.endpoint)
        deps.reconciler.wake()
    repeated = bool(results) and all(result.waiting is None for result in results)
    return Taken(files=files, waiting=waiting, repeated=repeated, outside=outside[:_MOST_LISTED])


@dataclass(frozen=True)
class _Noted:
    """Result of one document. waiting : files to score; None for a document that was received before."""

    files: list[FileEvent]
    waiting: int | None
    outside: list[str]


def _note(
    name: str, hook: Trigger, identity: str | None, events: list[FileEvent], headers: dict[str, str], deps: Dependencies
) -> _Noted:
    files, outside = _allowed(hook, events, deps)
    signed = headers.get("webhook-id") if hook.verification == "signature" else None
    # A document without an id may be sent again on purpose: its files are told apart by their versions alone.
    message = " ".join(filter(None, (signed, identity))) or None
    try:
        waiting = deps.store.triggers.take_files(name, message, files, deps.quotas.waiting_files)
    except QuotaError as exc:
        raise ProblemError(429, str(exc), headers={"Retry-After": "60"}) from exc
    return _Noted(files, waiting, outside)


def _matching(hook: Trigger, document: object) -> list[FileEvent]:
    """Return the files of a document that match the trigger. All of a message is checked before any is recorded."""
    try:
        return [check_event(event) for event in file_events(document) if is_input(event.uri, hook.include)]
    except RequestError as exc:
        raise ProblemError(422, f"body: {exc}", "body") from exc


def _allowed(hook: Trigger, events: list[FileEvent], deps: Dependencies) -> tuple[list[FileEvent], list[str]]:
    """Return the files in the allowed locations, and the reasons for those outside."""
    allowed, outside, roots = list[FileEvent](), list[str](), _roots(hook, deps) if events else []
    for event in events:
        try:
            check_place(event.uri, roots)
            allowed.append(event)
        except RequestError as exc:
            outside.append(str(exc))
    return allowed, outside


def _roots(hook: Trigger, deps: Dependencies) -> list[str]:
    endpoint = deps.store.endpoints.get(hook.endpoint)
    if endpoint is None:
        raise ProblemError(404, f"endpoint {hook.endpoint}: there is none")
    name = hook.deployment or endpoint[0].default
    if name not in endpoint[0].deployments:
        raise ProblemError(404, f"endpoint {hook.endpoint}: it has no deployment {name} any more; change the trigger")
    return deps.roots_of(load_fleet(endpoint[0].deployments[name].fleet, deps.home))
