"""Route of uploads: files that clients send to be scored."""

import hashlib
import tempfile
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from adapters.lake.uploads import SCHEME, Uploaded, check_name, keep_upload
from domain.errors import QuotaError, RequestError
from domain.gateway.jobs import JobRequest
from serving.auth import takes_body
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import (
    NAME,
    Deps,
    EndpointName,
    Scorer,
    chosen_deployment,
    known_endpoint,
)
from serving.routes.schemas import Upload

__all__ = ["router"]

router = APIRouter(prefix="/v1/batch", tags=["batch"], responses=answers(401, 403, 404, 413, 415, 422, 429, 503))
_FILE = {
    "required": True,
    "description": "Content of the file.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


@router.post("/{endpoint}/uploads", status_code=201, openapi_extra={"requestBody": _FILE})
@takes_body("upload")
async def upload_file(
    endpoint: EndpointName,
    request: Request,
    deps: Deps,
    client: Scorer,
    name: Annotated[str, Query(max_length=120, description="File name; its suffix determines the format.")],
    deployment: Annotated[
        str | None,
        Query(
            pattern=NAME,
            description="Deployment whose fleet will score the file; default: the default of the endpoint.",
        ),
    ] = None,
) -> Upload:
    """Upload a file as the request body; the `uri` in the response is a valid input of a job."""
    _check_content_type(request.headers.get("content-type", ""))
    definition, _ = await run_in_threadpool(known_endpoint, deps, endpoint)
    chosen = chosen_deployment(definition, JobRequest.model_validate({"deployment": deployment}), None)
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


def _check_content_type(value: str) -> None:
    """Refuse forms, whose boundaries and headers would be taken for lines of the file.

    `application/x-www-form-urlencoded` passes: curl says so of any body, unless it is told otherwise.
    """
    kind = value.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        problem = (
            f"header.content-type: {kind}: a form is not accepted; send the file itself as the body, such as curl "
            "--data-binary @rows.csv"
        )
        raise ProblemError(415, problem, "header.content-type")


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
