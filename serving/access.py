"""Rights of clients that are restricted to endpoints.

Such a client sees and changes only what belongs to its endpoints. It may not choose the fleets behind them: a fleet's
predictions are as good as its data.
"""

from collections.abc import Callable, Mapping

from domain.gateway.jobs import BatchEndpoint
from domain.gateway.subscriptions import Subscription
from domain.gateway.triggers import Trigger
from serving.auth import Client
from serving.problem_details import ProblemError

__all__ = ["check_fleet", "check_fleets", "former_check", "reaches"]


def reaches(client: Client, item: Trigger | Subscription) -> bool:
    """Return True if a trigger or subscription belongs to an endpoint of the client."""
    return not client.endpoints or item.endpoint in client.endpoints


def former_check(client: Client, kind: str, name: str) -> Callable[[Trigger | Subscription | None], None] | None:
    """Return a check that refuses to replace what belongs to other endpoints; None for an unrestricted client."""

    def check(former: Trigger | Subscription | None) -> None:
        if former is not None and not reaches(client, former):
            own = ", ".join(client.endpoints)
            raise ProblemError(403, f"{client.credential}: {kind} {name} belongs to others; it is for {own} alone")

    return check if client.endpoints else None


def check_fleets(client: Client, name: str, former: BatchEndpoint | None, definition: BatchEndpoint) -> None:
    """Refuse a definition with fleets that the endpoint did not have, and a new endpoint, to a restricted client."""
    if not client.endpoints:
        return
    if former is None:
        raise ProblemError(
            403,
            f"{client.credential}: endpoint {name} does not exist, and a key for certain endpoints cannot create it",
        )
    known = {deployment.fleet for deployment in former.deployments.values()}
    for deployment_name, deployment in definition.deployments.items():
        if deployment.fleet not in known:
            field = f"body.deployments.{deployment_name}.fleet"
            problem = (
                f"{client.credential}: a key for certain endpoints cannot change their fleets; endpoint {name} has "
                f"{', '.join(sorted(known))}. Use a key without --endpoint"
            )
            raise ProblemError(403, f"{field}: {problem}", field)


def check_fleet(client: Client, fleet: str, endpoints: Mapping[str, BatchEndpoint]) -> None:
    """Refuse a fleet that no endpoint of a restricted client has, whether the fleet exists or not."""
    if not client.endpoints:
        return
    own = [endpoint for name, endpoint in endpoints.items() if client.may_use(name)]
    if not any(deployment.fleet == fleet for endpoint in own for deployment in endpoint.deployments.values()):
        raise ProblemError(403, f"{client.credential}: fleet {fleet} is not behind {', '.join(client.endpoints)}")
