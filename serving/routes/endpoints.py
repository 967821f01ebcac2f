"""Routes of batch endpoints."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from adapters.sources.fleet_files import load_fleet
from domain.data.tables import CHAMPIONS
from domain.errors import FleetError, InUseError
from domain.gateway.jobs import BatchDeployment, BatchEndpoint
from serving.access import check_fleets
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import (
    Deps,
    EndpointName,
    Operator,
    Reader,
    known_endpoint,
)
from serving.routes.schemas import Endpoint, Endpoints

__all__ = ["router"]

router = APIRouter(prefix="/v1/batch", tags=["batch"], responses=answers(401, 403, 404, 413, 422, 429, 503))

IfMatch = Annotated[str | None, Header(pattern=r'^"\d{1,9}"$', description="ETag of the version to change.")]


@router.get("")
def list_endpoints(deps: Deps, client: Reader) -> Endpoints:
    """List the endpoints that the key may use."""
    endpoints = deps.store.endpoints.all()
    return Endpoints(endpoints=[_view(name, *endpoint) for name, endpoint in endpoints.items() if client.may_use(name)])


@router.get("/{endpoint}")
def get_endpoint(endpoint: EndpointName, deps: Deps, client: Reader, response: Response) -> Endpoint:
    """Get an endpoint with its deployments."""
    definition, version = known_endpoint(deps, endpoint)
    response.headers["ETag"] = f'"{version}"'
    return _view(endpoint, definition, version)


@router.put("/{endpoint}", responses=answers(409, 412))
def put_endpoint(
    endpoint: EndpointName,
    definition: BatchEndpoint,
    deps: Deps,
    client: Operator,
    response: Response,
    if_match: IfMatch = None,
) -> Endpoint:
    """Create an endpoint, change its deployments, or switch its default; existing jobs keep their deployment."""
    based_on = _version_of(if_match)
    if client.endpoints:
        former = deps.store.endpoints.get(endpoint)
        check_fleets(client, endpoint, former[0] if former else None, definition)
        # What was checked is what is replaced: meanwhile, somebody may have given the endpoint another fleet.
        based_on = based_on if based_on is not None or former is None else former[1]
    for name, deployment in definition.deployments.items():
        _check_deployment(deps, name, deployment)
    version = deps.store.endpoints.put(endpoint, definition, based_on)
    if version is None:
        raise _changed_meanwhile(endpoint)
    deps.store.audit.record(client.name, "endpoint.put", endpoint, definition.model_dump(mode="json"), endpoint)
    response.headers["ETag"] = f'"{version}"'
    return _view(endpoint, definition, version)


@router.delete("/{endpoint}", status_code=204, responses=answers(409, 412))
def delete_endpoint(endpoint: EndpointName, deps: Deps, client: Operator, if_match: IfMatch = None) -> Response:
    """Delete an endpoint that no trigger, subscription or unfinished job needs; its ended jobs stay on record."""
    if client.endpoints:
        problem = f"{client.credential}: a key for certain endpoints cannot delete them. Use a key without --endpoint"
        raise ProblemError(403, problem)
    try:
        deleted = deps.store.endpoints.delete(endpoint, _version_of(if_match))
    except InUseError as exc:
        raise ProblemError(409, str(exc)) from exc
    if deleted is None:
        raise _changed_meanwhile(endpoint)
    if not deleted:
        raise ProblemError(404, f"endpoint {endpoint}: there is none")
    deps.store.audit.record(client.name, "endpoint.delete", endpoint, endpoint=endpoint)
    return Response(status_code=204)


def _version_of(if_match: str | None) -> int | None:
    return int(if_match.strip('"')) if if_match else None


def _changed_meanwhile(endpoint: str) -> ProblemError:
    return ProblemError(412, f"endpoint {endpoint}: it was changed meanwhile; get it again", "header.if-match")


def _check_deployment(deps: Dependencies, name: str, deployment: BatchDeployment) -> None:
    field = f"body.deployments.{name}.fleet"
    try:
        fleet = load_fleet(deployment.fleet, deps.home)
    except FleetError as exc:
        raise ProblemError(422, f"{field}: {exc}", field) from exc
    if not deps.runs.known(f"score/{deployment.fleet}"):
        problem = f"{field}: score/{deployment.fleet} is not deployed in Prefect; run: myriad deploy {deployment.fleet}"
        raise ProblemError(409, problem, field)
    if deps.lake.table(fleet.name, CHAMPIONS).version() < 0:
        problem = (
            f"{field}: fleet {fleet.name} has no release yet, so that its jobs would predict nothing; train it first: "
            f"myriad run {deployment.fleet}"
        )
        raise ProblemError(409, problem, field)


def _view(name: str, endpoint: BatchEndpoint, version: int) -> Endpoint:
    return Endpoint(name=name, version=version, deployments=endpoint.deployments, default=endpoint.default)
