"""Routes of batch endpoints, their jobs, and links to output."""

import hashlib
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from adapters.gateway.records import JobRecord, new_job
from adapters.lake.uploads import SCHEME, Uploaded, check_name, keep_upload, place_of, uploads_of
from adapters.queries.export import Format
from adapters.queries.job_output import write_output
from adapters.sources.fleet_files import load_fleet
from adapters.sources.precheck import refusals
from domain.config.fleet import Fleet
from domain.data.tables import PREDICTIONS
from domain.errors import FleetError, QuotaError, RequestError
from domain.gateway.job_result import parse_job_result
from domain.gateway.jobs import FINAL, BatchDeployment, BatchEndpoint, JobRequest, JobState, check_place, request_digest
from serving.access import check_fleets
from serving.auth import Client, allow, takes_body
from serving.dependencies import Dependencies
from serving.limits import address_group
from serving.outputs import DownloadResponse
from serving.problem_details import ProblemError, answers
from serving.routes.schemas import Endpoint, Endpoints, Job, Jobs, Line, Link, Log, Upload, job_view

__all__ = ["Deps", "Operator", "Reader", "links", "router"]

router = APIRouter(prefix="/v1/batch", tags=["batch"], responses=answers(401, 403, 404, 413, 422, 429, 503))
links = APIRouter(prefix="/v1/links", tags=["batch"], responses=answers(404, 410, 422, 429, 503))

_NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
EndpointName = Annotated[str, Path(pattern=_NAME, description="Name of the endpoint.", examples=["m3"])]
JobId = Annotated[str, Path(pattern=r"^job-[0-9T]{15}-[0-9a-f]{8}$", examples=["job-20261126T101502-1a2b3c4d"])]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Requests with the same key return the same job, whatever has happened since.",
    ),
]
_FILE = {
    "required": True,
    "description": "Content of the file.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_EXACT = "-exact"
"""End of the format in the token of a link whose CSV is not escaped for spreadsheets."""
_MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
_DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {}, "application/vnd.apache.parquet": {}}},
    206: {"description": "The requested range of the file."},
    304: {"description": "The file has not changed since the response with this ETag."},
    416: {"description": "The file has no such range."},
    **answers(409, 429),
}
_LONGEST_LINK_S = 7 * 86_400
Reader = Annotated[Client, Depends(allow("read"))]
Scorer = Annotated[Client, Depends(allow("score"))]
Operator = Annotated[Client, Depends(allow("operate"))]


def _services(request: Request) -> Dependencies:
    services: Dependencies = request.app.state.services
    return services


Deps = Annotated[Dependencies, Depends(_services)]


# -- endpoints --------------------------------------------------------------------------------------------------


@router.get("")
def list_endpoints(deps: Deps, client: Reader) -> Endpoints:
    """List the endpoints that the key may use."""
    endpoints = deps.store.endpoints.all()
    return Endpoints(endpoints=[_view(name, *endpoint) for name, endpoint in endpoints.items() if client.may_use(name)])


@router.get("/{endpoint}")
def get_endpoint(endpoint: EndpointName, deps: Deps, client: Reader, response: Response) -> Endpoint:
    """Get an endpoint with its deployments."""
    definition, version = _known(deps, endpoint)
    response.headers["ETag"] = f'"{version}"'
    return _view(endpoint, definition, version)


@router.put("/{endpoint}", responses=answers(409, 412))
def put_endpoint(
    endpoint: EndpointName,
    definition: BatchEndpoint,
    deps: Deps,
    client: Operator,
    response: Response,
    if_match: Annotated[
        str | None, Header(pattern=r'^"\d{1,9}"$', description="ETag of the version to change.")
    ] = None,
) -> Endpoint:
    """Create an endpoint, change its deployments, or switch its default; existing jobs keep their deployment."""
    based_on = int(if_match.strip('"')) if if_match else None
    if client.endpoints:
        former = deps.store.endpoints.get(endpoint)
        check_fleets(client, endpoint, former[0] if former else None, definition)
        # What was checked is what is replaced: meanwhile, somebody may have given the endpoint another fleet.
        based_on = based_on if based_on is not None or former is None else former[1]
    for name, deployment in definition.deployments.items():
        _check_deployment(deps, name, deployment)
    version = deps.store.endpoints.put(endpoint, definition, based_on)
    if version is None:
        raise ProblemError(412, f"endpoint {endpoint}: it was changed meanwhile; get it again", "header.if-match")
    deps.store.audit.record(client.name, "endpoint.put", endpoint, definition.model_dump(mode="json"), endpoint)
    response.headers["ETag"] = f'"{version}"'
    return _view(endpoint, definition, version)


def _check_deployment(deps: Dependencies, name: str, deployment: BatchDeployment) -> None:
    field = f"body.deployments.{name}.fleet"
    try:
        load_fleet(deployment.fleet, deps.home)
    except FleetError as exc:
        raise ProblemError(422, f"{field}: {exc}", field) from exc
    if not deps.runs.known(f"score/{deployment.fleet}"):
        problem = f"{field}: score/{deployment.fleet} is not deployed in Prefect; run: myriad deploy {deployment.fleet}"
        raise ProblemError(409, problem, field)


def _view(name: str, endpoint: BatchEndpoint, version: int) -> Endpoint:
    return Endpoint(name=name, version=version, deployments=endpoint.deployments, default=endpoint.default)


def _known(deps: Dependencies, endpoint: str) -> tuple[BatchEndpoint, int]:
    endpoint_and_version = deps.store.endpoints.get(endpoint)
    if endpoint_and_version is None:
        raise ProblemError(404, f"endpoint {endpoint}: there is none; make it with PUT /v1/batch/{endpoint}")
    return endpoint_and_version


# -- jobs -------------------------------------------------------------------------------------------------------


@router.post("/{endpoint}/jobs", status_code=202)
def create_job(
    endpoint: EndpointName,
    job_request: JobRequest,
    deps: Deps,
    client: Scorer,
    response: Response,
    idempotency_key: IdempotencyKey = None,
    myriad_deployment: Annotated[
        str | None, Header(pattern=_NAME, description="Same as `deployment` in the body.")
    ] = None,
) -> Job:
    """Create a job. It is stored before the response is sent, and survives the loss of any process."""
    if idempotency_key is not None:
        former = deps.store.jobs.find(endpoint, client.name, idempotency_key)
        if former is not None:
            return _replayed(former, job_request, myriad_deployment, response)
    definition, _ = _known(deps, endpoint)
    name = _chosen(definition, job_request, myriad_deployment)
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


def _chosen(definition: BatchEndpoint, job_request: JobRequest, header: str | None) -> str:
    if header is not None and job_request.deployment not in (None, header):
        raise ProblemError(
            422, f"body.deployment: {job_request.deployment}, but the header says {header}", "body.deployment"
        )
    name = job_request.deployment or header or definition.default
    if name not in definition.deployments:
        known = ", ".join(definition.deployments)
        raise ProblemError(422, f"body.deployment: {name}: there is none; deployments: {known}", "body.deployment")
    return name


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
    deployment: Annotated[str | None, Query(pattern=_NAME)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=1, le=2**53, description="From `next` of the previous page.")] = None,
) -> Jobs:
    """List the jobs of an endpoint, newest first."""
    _known(deps, endpoint)
    page = deps.store.jobs.page(endpoint, limit, after, state, deployment)
    filters = "".join(f"&{name}={value}" for name, value in (("state", state), ("deployment", deployment)) if value)
    following = f"/v1/batch/{endpoint}/jobs?limit={limit}&after={page.after}{filters}" if page.after else None
    return Jobs(jobs=[job_view(job) for job in page.jobs], next=following)


@router.get("/{endpoint}/jobs/{job}")
def get_job(endpoint: EndpointName, job: JobId, deps: Deps, client: Reader) -> Job:
    """Get the state and results of a job."""
    return job_view(_job(deps, endpoint, job))


@router.delete("/{endpoint}/jobs/{job}", status_code=202, responses=answers(409))
def cancel_job(endpoint: EndpointName, job: JobId, deps: Deps, client: Scorer) -> Job:
    """Cancel a job. Its processes are stopped; committed predictions stay."""
    for _ in range(10):
        record = _job(deps, endpoint, job)
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
    """Get the log of the job's run."""
    record = _job(deps, endpoint, job)
    lines = deps.runs.logs(record.flow_run_id, after, limit) if record.flow_run_id else []
    return Log(
        lines=[Line(at=line.at, level=line.level, message=line.message) for line in lines], after=after + len(lines)
    )


@router.get(
    "/{endpoint}/jobs/{job}/output",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
)
def get_output(
    endpoint: EndpointName,
    job: JobId,
    deps: Deps,
    client: Reader,
    request: Request,
    form: Annotated[
        Literal["csv", "parquet"] | None,
        Query(alias="format", description="Default: the format in the request of the job."),
    ] = None,
) -> Response:
    """Download the predictions of a completed job; ranges and `If-None-Match` are supported."""
    record = _job(deps, endpoint, job)
    readers = (f"client {client.name}",)
    return _output(deps, record, form or record.request.output.format, readers, request, for_people=False)


@router.post("/{endpoint}/jobs/{job}/links", status_code=201, responses=answers(409))
def create_link(
    endpoint: EndpointName,
    job: JobId,
    deps: Deps,
    client: Reader,
    form: Annotated[Literal["csv", "parquet"], Query(alias="format")] = "csv",
    expires_in: Annotated[int, Query(ge=1, le=_LONGEST_LINK_S, description="Lifetime in seconds.")] = 3600,
    formulas: Annotated[
        Literal["escaped", "exact"],
        Query(description="`escaped`: in CSV, text that a spreadsheet would run gets an apostrophe in front."),
    ] = "escaped",
) -> Link:
    """Create a link to the output that requires no key until it expires."""
    _completed(_job(deps, endpoint, job))
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=expires_in)
    deps.store.audit.record(client.name, "link.create", job, {"expires_at": end.isoformat()}, endpoint)
    signed_form = f"{form}{_EXACT}" if formulas == "exact" else form
    return Link(url=f"/v1/links/{deps.signer.sign(job, signed_form, int(end.timestamp()))}", expires_at=end)


@links.get(
    "/{token}",
    response_class=StreamingResponse,
    responses=_DOWNLOAD,
)
def follow_link(
    token: Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,300}$")], deps: Deps, request: Request
) -> Response:
    """Download the output behind a signed link; ranges and `If-None-Match` are supported."""
    job_id, form, end = deps.signer.read(token)
    if datetime.now(UTC).timestamp() >= end:
        raise ProblemError(410, f"the link expired on {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M:%S} UTC")
    record = deps.store.jobs.get(job_id)
    if record is None:
        raise ProblemError(404, f"job {job_id}: there is none")
    plain: Format = "parquet" if form.removesuffix(_EXACT) == "parquet" else "csv"
    readers = (f"link {token}", f"address {address_group(request.client.host) if request.client else ''}")
    return _output(deps, record, plain, readers, request, for_people=not form.endswith(_EXACT))


@router.post("/{endpoint}/uploads", status_code=201, openapi_extra={"requestBody": _FILE})
@takes_body("upload")
async def upload(
    endpoint: EndpointName,
    request: Request,
    deps: Deps,
    client: Scorer,
    name: Annotated[str, Query(max_length=120, description="File name; its suffix determines the format.")],
    deployment: Annotated[
        str | None,
        Query(
            pattern=_NAME,
            description="Deployment whose fleet will score the file; default: the default of the endpoint.",
        ),
    ] = None,
) -> Upload:
    """Upload a file as the request body; the `uri` in the response is a valid input of a job."""
    definition, _ = await run_in_threadpool(_known, deps, endpoint)
    chosen = _chosen(definition, JobRequest.model_validate({"deployment": deployment}), None)
    try:
        check_name(name)
    except RequestError as exc:
        raise ProblemError(422, f"query.{exc}", "query.name") from exc
    fleet, sha, size = definition.deployments[chosen].fleet, hashlib.sha256(), 0
    quota = partial(deps.store.uploads.check, client.name, most_bytes=deps.quotas.upload_bytes)
    announced = request.headers.get("content-length", "0")
    try:
        await run_in_threadpool(quota, int(announced) if announced.isdigit() else 0)
        with tempfile.NamedTemporaryFile(prefix="myriad-upload-") as draft:
            async for chunk in request.stream():
                draft.write(chunk)
                sha.update(chunk)
                size += len(chunk)
            draft.flush()
            owner = (client.name, endpoint)
            uploaded = await run_in_threadpool(
                _store_upload, deps, owner, fleet, (sha.hexdigest(), name, size), FilePath(draft.name)
            )
    except QuotaError as exc:
        raise ProblemError(403, str(exc)) from exc
    detail = {"endpoint": endpoint, "bytes": uploaded.bytes}
    await run_in_threadpool(deps.store.audit.record, client.name, "upload", uploaded.uri, detail, endpoint)
    return Upload(uri=uploaded.uri, bytes=uploaded.bytes, sha256=uploaded.sha256)


def _store_upload(
    deps: Dependencies, owner: tuple[str, str], fleet: str, upload: tuple[str, str, int], draft: FilePath
) -> Uploaded:
    """Record an upload and store its file, or neither. upload : SHA-256, name and bytes."""
    (client, endpoint), (sha, name, size) = owner, upload
    uri = f"{SCHEME}{sha}/{name}"
    new = deps.store.uploads.add(client, endpoint, fleet, uri, size, deps.quotas.upload_bytes)
    try:
        return keep_upload(deps.lake, fleet, name, draft)
    except BaseException:
        if new:
            deps.store.uploads.delete(client, fleet, uri)
        raise


def _job(deps: Dependencies, endpoint: str, job_id: str) -> JobRecord:
    record = deps.store.jobs.get(job_id)
    if record is None or record.endpoint != endpoint:
        raise ProblemError(404, f"job {job_id}: endpoint {endpoint} has none of this id")
    return record


def _completed(job: JobRecord) -> JobRecord:
    if job.state != "completed":
        raise ProblemError(409, f"job {job.id}: it is {job.state}; there is output once it is completed")
    return job


def _output(
    deps: Dependencies, job: JobRecord, form: Format, readers: tuple[str, ...], request: Request, *, for_people: bool
) -> Response:
    result = parse_job_result(_completed(job).account or "")
    if result is None:
        raise ProblemError(404, f"job {job.id}: the account of its run cannot be read")
    fleet = load_fleet(job.fleet, deps.home)
    # With every commit, newer predictions may have replaced some of the job's.
    version = deps.lake.table(job.fleet, PREDICTIONS).version()

    def build(path: FilePath, before_part: Callable[[], None]) -> None:
        write_output(deps.lake, fleet, result, form, path, for_people=for_people, before_part=before_part)

    content = f"{job.id} {form} {for_people} {version}"
    file = deps.output_cache.open(content, readers, build)
    if request.headers.get("if-none-match") == file.etag:
        file.close()
        return Response(status_code=304, headers={"ETag": file.etag})
    return DownloadResponse(file, _MEDIA[form], f"{job.id}.{form}")
