"""Routes of the output of jobs: downloads by clients, and signed links for everybody else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from adapters.gateway.records import JobRecord
from adapters.queries.export import Format
from adapters.queries.job_output import write_output
from adapters.sources.fleet_files import load_fleet
from domain.data.tables import PREDICTIONS
from domain.gateway.job_result import parse_job_result
from serving.dependencies import Dependencies
from serving.limits import address_group
from serving.outputs import DownloadResponse
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import (
    Deps,
    EndpointName,
    JobId,
    Reader,
    find_job,
)
from serving.routes.schemas import Link

__all__ = ["links", "router"]

router = APIRouter(prefix="/v1/batch", tags=["batch"], responses=answers(401, 403, 404, 413, 422, 429, 503))
links = APIRouter(prefix="/v1/links", tags=["batch"], responses=answers(404, 410, 422, 429, 503))
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
    record = find_job(deps, endpoint, job)
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
    _completed(find_job(deps, endpoint, job))
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
    if _has(request.headers.get("if-none-match", ""), file.etag):
        file.close()
        return Response(status_code=304, headers={"ETag": file.etag})
    return DownloadResponse(file, _MEDIA[form], f"{job.id}.{form}")


def _has(condition: str, etag: str) -> bool:
    """Return True if If-None-Match names the tag: `*`, or a list of tags, strong or weak (RFC 9110)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or tags == ["*"]
