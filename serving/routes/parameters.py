"""Parameters and look-ups that routes share."""

from typing import Annotated

from fastapi import Depends, Path, Request

from adapters.gateway.records import JobRecord
from domain.gateway.jobs import BatchEndpoint, JobRequest
from serving.auth import Client, allow
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError

__all__ = [
    "NAME",
    "Deps",
    "EndpointName",
    "JobId",
    "Operator",
    "Reader",
    "Scorer",
    "chosen_deployment",
    "find_job",
    "known_endpoint",
]

NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
EndpointName = Annotated[str, Path(pattern=NAME, description="Name of the endpoint.", examples=["m3"])]
JobId = Annotated[str, Path(pattern=r"^job-[0-9T]{15}-[0-9a-f]{8}$", examples=["job-20261126T101502-1a2b3c4d"])]
Reader = Annotated[Client, Depends(allow("read"))]
Scorer = Annotated[Client, Depends(allow("score"))]
Operator = Annotated[Client, Depends(allow("operate"))]


def _services(request: Request) -> Dependencies:
    services: Dependencies = request.app.state.services
    return services


Deps = Annotated[Dependencies, Depends(_services)]


def known_endpoint(deps: Dependencies, endpoint: str) -> tuple[BatchEndpoint, int]:
    """Return an endpoint with its version. Raises ProblemError if there is none."""
    endpoint_and_version = deps.store.endpoints.get(endpoint)
    if endpoint_and_version is None:
        raise ProblemError(404, f"endpoint {endpoint}: there is none; make it with PUT /v1/batch/{endpoint}")
    return endpoint_and_version


def chosen_deployment(definition: BatchEndpoint, job_request: JobRequest, header: str | None) -> str:
    """Return the name of the deployment that a request, a header or the default names. Raises ProblemError."""
    if header is not None and job_request.deployment not in (None, header):
        raise ProblemError(
            422, f"body.deployment: {job_request.deployment}, but the header says {header}", "body.deployment"
        )
    name = job_request.deployment or header or definition.default
    if name not in definition.deployments:
        known = ", ".join(definition.deployments)
        raise ProblemError(422, f"body.deployment: {name}: there is none; deployments: {known}", "body.deployment")
    return name


def find_job(deps: Dependencies, endpoint: str, job_id: str) -> JobRecord:
    """Return a job of an endpoint. Raises ProblemError if there is none."""
    record = deps.store.jobs.get(job_id)
    if record is None or record.endpoint != endpoint:
        raise ProblemError(404, f"job {job_id}: endpoint {endpoint} has none of this id")
    return record
