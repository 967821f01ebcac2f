"""Routes of the jobs of batch endpoints."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from adapters.gateway.records import JobRecord, new_job
from adapters.lake.uploads import SCHEME, place_of, uploads_of
from adapters.sources.fleet_files import load_fleet
from adapters.sources.precheck import refusals
from domain.config.fleet import Fleet
from domain.errors import QuotaError, RequestError
from domain.gateway.api_keys import allows
from domain.gateway.jobs import FINAL, JobRequest, JobState, check_place, request_digest
from domain.gateway.log_text import without_places
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import (
    NAME,
    Deps,
    EndpointName,
    JobId,
    Reader,
    Scorer,
    chosen_deployment,
    find_job,
    known_endpoint,
)
from serving.routes.schemas import Job, Jobs, Line, Log, job_view

__all__ = ["router"]

router = APIRouter(prefix="/v1/batch", tags=["batch"], responses=answers(401, 403, 404, 413, 422, 429, 503))

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Requests with the same key return the same job, whatever has happened since.",
    ),
]


@router.post("/{endpoint}/jobs", status_code=202)
def create_job(
    endpoint: EndpointName,
    job_request: JobRequest,
    deps: Deps,
    client: Scorer,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    myriad_deployment: Annotated[
        str | None, Header(pattern=NAME, description="Same as `deployment` in the body.")
    ] = None,
) -> Job:
    """Create a job. It is stored before the response is sent, and survives the loss of any process."""
    if idempotency_key is not None:
        former = deps.store.jobs.find(endpoint, client.name, idempotency_key)
        if former is not None:
            return _replayed(former, job_request, myriad_deployment, response)
    definition, _ = known_endpoint(deps, endpoint)
    name = chosen_deployment(definition, job_request, myriad_deployment)
    job = new_job(endpoint, name, definition.deployments[name], client.name, job_request, idempotency_key)
    _placed(deps, load_fleet(job.fleet, deps.home), job)
    try:
        recorded, new = deps.store.jobs.add(job, deps.quotas)
    except QuotaError as exc:
        raise ProblemError(429, str(exc), headers={"Retry-After": "60"}) from exc
    if not new:
        return _replayed(recorded, job_request, myriad_deployment, response)
    detail = {"endpoint": endpoint, "deployment": name}
    deps.store.audit.record(client.name, "job.create", job.id, detail, endpoint)
    deps.reconciler.wake()
    response.headers["Location"] = f"/v1/batch/{endpoint}/jobs/{job.id}"
    return job_view(job)


def _replayed(job: JobRecord, job_request: JobRequest, deployment: str | None, response: Response) -> Job:
    if request_digest(job.request) != request_digest(job_request) or deployment not in (None, job.deployment):
        problem = f"header.idempotency-key: job {job.id} was asked for with this key, and otherwise; use another key"
        raise ProblemError(422, problem, "header.idempotency-key")
    response.headers["Location"] = f"/v1/batch/{job.endpoint}/jobs/{job.id}"
    response.headers["Idempotent-Replayed"] = "true"
    return job_view(job)


def _placed(deps: Dependencies, fleet: Fleet, job: JobRecord) -> None:
    """Refuse inputs that may not be read, before the job is stored."""
    if job.request.inputs and fleet.score is None:
        problem = f"body.inputs: fleet {fleet.name} takes no scoring input; its file has no `score.source`"
        raise ProblemError(422, problem, "body.inputs")
    if job.request.output.folder is not None:
        try:
            check_place(job.request.output.folder, deps.output_roots(), "output")
        except RequestError as exc:
            raise ProblemError(422, f"body.output.folder: {exc}", "body.output.folder") from exc
    places = list[str]()
    for number, uri in enumerate(job.request.inputs):
        try:
            sent = uri.startswith(SCHEME)
            places.append(place_of(deps.lake, fleet.name, uri) if sent else check_place(uri, deps.roots_of(fleet)))
        except RequestError as exc:
            raise ProblemError(422, f"body.inputs.{number}: {exc}", f"body.inputs.{number}") from exc
    roots = [*deps.roots_of(fleet), uploads_of(deps.lake, fleet.name)]
    try:
        deps.reconciler.parameters.check_size(job)
    except RequestError as exc:
        raise ProblemError(422, f"body.inputs: {exc}", "body.inputs") from exc
    wrong = refusals(places, fleet, fleet.score.source, deps.home, roots) if fleet.score and places else {}
    if wrong:
        addresses = job.request.inputs  # The location of uploads is internal.
        reasons = {number: reason.replace(places[number], addresses[number]) for number, reason in wrong.items()}
        raise ProblemError(422, errors={f"body.inputs.{number}": reason for number, reason in reasons.items()})


@router.get("/{endpoint}/jobs")
def list_jobs(
    endpoint: EndpointName,
    deps: Deps,
    client: Reader,
    state: JobState | None = None,
    deployment: Annotated[str | None, Query(pattern=NAME)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="From `next` of the previous page.")] = None,
) -> Jobs:
    """List the jobs of an endpoint, newest first."""
    known_endpoint(deps, endpoint)
    page = deps.store.jobs.page(endpoint, limit, after, state, deployment)
    filters = "".join(f"&{name}={value}" for name, value in (("state", state), ("deployment", deployment)) if value)
    following = f"/v1/batch/{endpoint}/jobs?limit={limit}&after={page.after}{filters}" if page.after else None
    return Jobs(jobs=[job_view(job) for job in page.jobs], next=following)


@router.get("/{endpoint}/jobs/{job}")
def get_job(endpoint: EndpointName, job: JobId, deps: Deps, client: Reader) -> Job:
    """Get the state and results of a job."""
    return job_view(find_job(deps, endpoint, job))


@router.delete("/{endpoint}/jobs/{job}", status_code=202, responses=answers(409))
def cancel_job(endpoint: EndpointName, job: JobId, deps: Deps, client: Scorer) -> Job:
    """Cancel a job. Its processes are stopped; committed predictions stay."""
    for _ in range(10):
        record = find_job(deps, endpoint, job)
        if record.state in FINAL:
            raise ProblemError(409, f"job {job}: it is {record.state} already")
        changed = deps.store.jobs.change(record, cancel=True, reason=f"cancelled by {client.name}")
        if changed is not None:
            deps.store.audit.record(client.name, "job.cancel", job, endpoint=endpoint)
            deps.reconciler.wake()
            return job_view(changed)
    raise ProblemError(503, f"job {job}: it changes too quickly; ask again", headers={"Retry-After": "1"})


@router.get("/{endpoint}/jobs/{job}/logs")
def get_logs(
    endpoint: EndpointName,
    job: JobId,
    deps: Deps,
    client: Reader,
    after: Annotated[
        int, Query(ge=0, le=10**9, description="Number of lines to skip: `after` of the previous response.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
) -> Log:
    """Get the log of the job's run; without the scope `operate`, folders and hosts are left out of it."""
    record = find_job(deps, endpoint, job)
    lines = deps.runs.logs(record.flow_run_id, after, limit) if record.flow_run_id else []
    shown = str if allows(client.scopes, "operate") else without_places
    return Log(
        lines=[Line(at=line.at, level=line.level, message=shown(line.message)) for line in lines],
        after=after + len(lines),
    )
