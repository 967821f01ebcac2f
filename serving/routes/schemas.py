"""Response schemas of batch endpoints, as the OpenAPI document shows them."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from adapters.gateway.records import JobRecord
from adapters.lake.uploads import SCHEME
from domain.gateway.job_result import parse_job_result
from domain.gateway.jobs import BatchEndpoint, JobCounts, JobInput, JobOutput, JobProgress, JobState, Overrides

__all__ = ["Endpoint", "Endpoints", "Job", "Jobs", "Line", "Link", "Log", "Upload", "job_view"]


class Endpoint(BatchEndpoint):
    """A batch endpoint. version : increases with every change; send it as If-Match to change exactly this version."""

    name: str
    version: int


class Endpoints(BaseModel):
    """The endpoints that the key may use."""

    endpoints: list[Endpoint]


class Links(BaseModel):
    """Addresses related to a job."""

    self: str
    logs: str
    output: str | None = Field(description="Null until the job is completed.")


class Job(BaseModel):
    """A scoring job. reason : of a failure, a cancellation or a retry."""

    id: str = Field(examples=["job-20261126T101502-1a2b3c4d"])
    endpoint: str
    deployment: str
    fleet: str
    state: JobState
    reason: str
    client: str
    idempotency_key: str | None
    inputs: list[str]
    settings: Overrides
    attempt: int = Field(description="Number of retries so far.")
    progress: JobProgress | None
    counts: JobCounts | None = Field(description="Null until the job is completed.")
    release: int | None = Field(description="Release that scored; null until the job is completed.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    flow_run_id: str | None = Field(description="Id of the flow run in Prefect.")
    output: JobOutput
    output_uri: str | None = Field(
        description="Address of the requested file of predictions; null until the job is completed."
    )
    links: Links


class Jobs(BaseModel):
    """A page of jobs, newest first. next : address of the next page; null on the last one."""

    jobs: list[Job]
    next: str | None


class Line(BaseModel):
    """A line of a log."""

    at: datetime
    level: str
    message: str


class Log(BaseModel):
    """Lines of a log, oldest first. after : value of the parameter `after` for the next lines."""

    lines: list[Line]
    after: int


class Upload(BaseModel):
    """An uploaded file. uri : its address as an input of a job."""

    uri: str = Field(examples=["upload://0f3a.../rows.csv"])
    bytes: int
    sha256: str


class Link(BaseModel):
    """A link that requires no key until it expires."""

    url: str
    expires_at: datetime


def job_view(job: JobRecord) -> Job:
    """Convert a job to its response."""
    result = parse_job_result(job.account) if job.account else None
    here = f"/v1/batch/{job.endpoint}/jobs/{job.id}"
    counts = None
    if result is not None:
        inputs = [
            JobInput(
                uri=_as_asked(item.uri, job.request.inputs),
                rows=item.read,
                accepted=item.accepted,
                quarantined=item.quarantined,
                predictions=item.predictions,
                statuses=dict(item.statuses),
                error=item.error,
            )
            for item in result.inputs
        ]
        of_inputs = result.inputs and not result.task_type.periodic
        counts = JobCounts(
            predictions=sum(item.predictions for item in result.inputs) if of_inputs else result.rows,
            segments=result.segments,
            statuses=_together([item.statuses for item in inputs]) if of_inputs else dict(result.statuses),
            levels=dict(result.levels),
            inputs=inputs,
        )
    return Job(
        id=job.id,
        endpoint=job.endpoint,
        deployment=job.deployment,
        fleet=job.fleet,
        state=job.state,
        reason=job.reason,
        client=job.client,
        idempotency_key=job.idempotency_key,
        inputs=job.request.inputs,
        settings=Overrides.model_validate(job.settings),
        attempt=job.attempt,
        progress=JobProgress.model_validate(job.progress) if job.progress else None,
        counts=counts,
        release=result.release if result else None,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        flow_run_id=job.flow_run_id,
        output=job.request.output,
        output_uri=job.request.output.place(job.id) if job.state == "completed" else None,
        links=Links(self=here, logs=f"{here}/logs", output=f"{here}/output" if job.state == "completed" else None),
    )


def _as_asked(place: str, inputs: Sequence[str]) -> str:
    """Return the address in the request, since the location of uploads is internal."""
    return next((uri for uri in inputs if uri.startswith(SCHEME) and place.endswith(uri.removeprefix(SCHEME))), place)


def _together(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    names = sorted({name for statuses in counts for name in statuses})
    return {name: sum(statuses.get(name, 0) for statuses in counts) for name in names}
