"""Rows of the gateway's database as values, and back."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from domain.gateway.api_keys import Key
from domain.gateway.job_result import parse_job_result
from domain.gateway.jobs import FINAL, BatchDeployment, JobProgress, JobRequest, JobState, Overrides
from domain.gateway.subscriptions import DeliveryState

__all__ = [
    "Delivery",
    "JobRecord",
    "Page",
    "delivery_of",
    "job_facts",
    "job_of",
    "job_row",
    "key_of",
    "new_job",
    "now",
    "text_of",
    "timestamp_of",
]


@dataclass(frozen=True)
class JobRecord:
    """A job as it is on record. client : whose key asked for it. attempt : runs that were started for it, from 0.

    settings : the deployment's and the job's together. account : of the run that completed it, as JSON.
    cancel : somebody has asked to cancel it.
    """

    id: str
    endpoint: str
    deployment: str
    fleet: str
    client: str
    request: JobRequest
    settings: Mapping[str, Any]
    created_at: datetime
    idempotency_key: str | None = None
    state: JobState = "queued"
    reason: str = ""
    attempt: int = 0
    flow_run_id: str | None = None
    progress: Mapping[str, Any] | None = None
    account: str | None = None
    cancel: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    number: int = field(default=0, compare=False)

    @property
    def final(self) -> bool:
        return self.state in FINAL


def new_job(
    endpoint: str,
    name: str,
    deployment: BatchDeployment,
    client: str,
    request: JobRequest,
    idempotency_key: str | None = None,
) -> JobRecord:
    """A job that is not on record yet. name : of the deployment."""
    now = datetime.now(UTC)
    return JobRecord(
        id=f"job-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        endpoint=endpoint,
        deployment=name,
        fleet=deployment.fleet,
        client=client,
        request=request,
        settings=request.overrides.over(deployment.settings).model_dump(exclude_none=True),
        created_at=now,
        idempotency_key=idempotency_key,
    )


@dataclass(frozen=True)
class Delivery:
    """A message on its way to a subscriber. message : its id, which stays when it is sent again. reason : of the last
    attempt in vain.
    """

    number: int
    subscription: str
    message: str
    body: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    reason: str


@dataclass(frozen=True)
class Page:
    """Some jobs, the newest first. after : what to ask the next page with; None at the end."""

    jobs: Sequence[JobRecord]
    after: int | None


def job_facts(job: JobRecord) -> dict[str, Any]:
    """Facts of a job's end that subscribers receive; the rest is behind its address."""
    result = parse_job_result(job.account) if job.account else None
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "deployment": job.deployment,
        "fleet": job.fleet,
        "state": job.state,
        "reason": job.reason,
        "release": result.release if result else None,
        "predictions": result.rows if result else None,
        "job": f"/v1/batch/{job.endpoint}/jobs/{job.id}",
    }


def delivery_of(row: Mapping[Any, Any]) -> Delivery:
    return Delivery(**{**row, "state": _state(row["state"], DeliveryState), "due_at": timestamp_of(row["due_at"])})


def now() -> datetime:
    return datetime.now(UTC)


def text_of(time: datetime | None) -> str | None:
    """Return a timestamp as the database keeps it."""
    return time.astimezone(UTC).isoformat(timespec="microseconds") if time else None


def timestamp_of(text: str) -> datetime:
    """Parse a timestamp. Raises ValueError if it is none, or has no zone."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text[:40]}: a time without a zone")
    return time


def _optional_timestamp(text: str | None) -> datetime | None:
    return timestamp_of(text) if text else None


def _state(text: str, states: Any) -> Any:
    if text not in get_args(states):
        raise ValueError(f"{text[:40]!r} is no state")
    return text


def job_row(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "endpoint": job.endpoint,
        "deployment": job.deployment,
        "fleet": job.fleet,
        "client": job.client,
        "idempotency_key": job.idempotency_key,
        "request": job.request.model_dump_json(),
        "settings": json.dumps(dict(job.settings)),
        "state": job.state,
        "reason": job.reason,
        "attempt": job.attempt,
        "flow_run_id": job.flow_run_id,
        "progress": json.dumps(dict(job.progress)) if job.progress else None,
        "account": job.account,
        "cancel": job.cancel,
        "created_at": text_of(job.created_at),
        "started_at": text_of(job.started_at),
        "finished_at": text_of(job.finished_at),
    }


def job_of(row: Mapping[Any, Any]) -> JobRecord:
    settings = Overrides.model_validate_json(row["settings"]).model_dump(exclude_none=True)
    progress = JobProgress.model_validate_json(row["progress"]).model_dump() if row["progress"] else None
    return JobRecord(
        id=row["id"],
        endpoint=row["endpoint"],
        deployment=row["deployment"],
        fleet=row["fleet"],
        client=row["client"],
        request=JobRequest.model_validate_json(row["request"]),
        settings=settings,
        created_at=timestamp_of(row["created_at"]),
        idempotency_key=row["idempotency_key"],
        state=_state(row["state"], JobState),
        reason=row["reason"],
        attempt=row["attempt"],
        flow_run_id=row["flow_run_id"],
        progress=progress,
        account=row["account"],
        cancel=bool(row["cancel"]),
        started_at=_optional_timestamp(row["started_at"]),
        finished_at=_optional_timestamp(row["finished_at"]),
        number=row["number"],
    )


def key_of(row: Mapping[Any, Any]) -> Key:
    slot: Literal["primary", "secondary"] = "secondary" if row["slot"] == "secondary" else "primary"
    return Key(
        client=row["client"],
        slot=slot,
        prefix=row["prefix"],
        digest=row["digest"],
        scopes=tuple(json.loads(row["scopes"])),
        endpoints=tuple(json.loads(row["endpoints"])),
        created_at=timestamp_of(row["created_at"]),
        expires_at=_optional_timestamp(row["expires_at"]),
        revoked_at=_optional_timestamp(row["revoked_at"]),
    )
