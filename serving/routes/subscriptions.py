"""Routes of outgoing webhooks: subscriptions, their deliveries, and replays."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from domain.errors import RequestError
from domain.gateway.subscriptions import DeliveryState, Subscription, check_target
from serving.access import former_check, reaches
from serving.auth import Client
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import Deps, Operator

__all__ = ["router"]

router = APIRouter(
    prefix="/v1/subscriptions", tags=["subscriptions"], responses=answers(401, 403, 404, 413, 422, 429, 503)
)
Name = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", examples=["app"])]


class NamedSubscription(Subscription):
    """A subscription and its name."""

    name: str


class Subscriptions(BaseModel):
    """All subscriptions."""

    subscriptions: list[NamedSubscription]


class Message(BaseModel):
    """A message to a subscriber. due_at : time of the next attempt, or of the last one."""

    id: str = Field(description="The header `webhook-id`, the same in every attempt.")
    state: DeliveryState
    attempts: int
    due_at: datetime
    reason: str = Field(description="Reason of the last failed attempt.")


class Messages(BaseModel):
    """Messages, newest first."""

    messages: list[Message]


class Replayed(BaseModel):
    """The number of messages queued for delivery."""

    messages: int


@router.get("")
def list_subscriptions(deps: Deps, client: Operator) -> Subscriptions:
    """List the subscriptions that the key may see."""
    visible = [item for item in deps.store.subscriptions.all().items() if reaches(client, item[1])]
    return Subscriptions(subscriptions=[_view(name, subscription) for name, subscription in visible])


@router.put("/{subscription}", responses=answers(409))
def put_subscription(subscription: Name, definition: Subscription, deps: Deps, client: Operator) -> NamedSubscription:
    """Create or change a subscription. It covers jobs that end from now on."""
    if not reaches(client, definition):
        raise ProblemError(403, f"{client.credential}: it is for jobs of {', '.join(client.endpoints)} alone")
    try:
        check_target(definition.url, deps.hosts)
    except RequestError as exc:
        raise ProblemError(422, f"body.url: {exc}", "body.url") from exc
    if not deps.can_sign:
        raise ProblemError(422, "set MYRIAD_WEBHOOK_SECRET for the gateway first, to a secret whsec_...")
    if definition.endpoint is not None and deps.store.endpoints.get(definition.endpoint) is None:
        raise ProblemError(422, f"body.endpoint: {definition.endpoint}: there is no such endpoint", "body.endpoint")
    check = former_check(client, "subscription", subscription)
    if not deps.store.subscriptions.put(subscription, definition, check):
        raise ProblemError(409, f"subscription {subscription}: another client changed it meanwhile; get it again")
    detail = definition.model_dump(mode="json")
    deps.store.audit.record(client.name, "subscription.put", subscription, detail, definition.endpoint)
    return _view(subscription, definition)


@router.delete("/{subscription}", status_code=204)
def delete_subscription(subscription: Name, deps: Deps, client: Operator) -> Response:
    """Delete a subscription; its waiting messages are dropped."""
    endpoint = None
    if client.endpoints:  # Others may delete a record that cannot be read.
        endpoint = _known(deps, client, subscription).endpoint
    if not deps.store.subscriptions.delete(subscription):
        raise _unknown(subscription)
    deps.store.audit.record(client.name, "subscription.delete", subscription, endpoint=endpoint)
    return Response(status_code=204)


@router.get("/{subscription}/messages")
def list_messages(
    subscription: Name,
    deps: Deps,
    client: Operator,
    state: DeliveryState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Messages:
    """List messages to a subscriber; `state=dead` lists those that failed for good."""
    _known(deps, client, subscription)
    deliveries = deps.store.deliveries.newest(subscription, state, limit)
    return Messages(
        messages=[
            Message(
                id=delivery.message,
                state=delivery.state,
                attempts=delivery.attempts,
                due_at=delivery.due_at,
                reason=delivery.reason,
            )
            for delivery in deliveries
        ]
    )


@router.post("/{subscription}/replay", status_code=202)
def replay_messages(
    subscription: Name,
    deps: Deps,
    client: Operator,
    message: Annotated[
        str | None, Query(pattern=r"^[\x21-\x7e]{1,128}$", description="Only this message, whatever its state.")
    ] = None,
) -> Replayed:
    """Queue messages that failed for good for another delivery."""
    endpoint = _known(deps, client, subscription).endpoint
    count = deps.store.deliveries.replay(subscription, message)
    if message is not None and not count:
        raise ProblemError(404, f"message {message}: there is none to {subscription}", "query.message")
    deps.store.audit.record(client.name, "subscription.replay", subscription, {"messages": count}, endpoint)
    return Replayed(messages=count)


def _view(name: str, subscription: Subscription) -> NamedSubscription:
    return NamedSubscription(name=name, **subscription.model_dump())


def _known(deps: Dependencies, client: Client, name: str) -> Subscription:
    subscription = deps.store.subscriptions.get(name)
    if subscription is None or not reaches(client, subscription):
        raise _unknown(name)
    return subscription


def _unknown(name: str) -> ProblemError:
    return ProblemError(404, f"subscription {name}: there is none; make it with PUT /v1/subscriptions/{name}")
