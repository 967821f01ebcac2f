"""Batch endpoints and their jobs: what may be asked for, and the states that a job goes through."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import RequestError

__all__ = [
    "FINAL",
    "MOST_INPUTS",
    "BatchDeployment",
    "BatchEndpoint",
    "JobCounts",
    "JobInput",
    "JobOutput",
    "JobProgress",
    "JobRequest",
    "JobState",
    "Name",
    "Overrides",
    "check_place",
    "request_digest",
    "source_root",
]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$", examples=["m3"])]
JobState = Literal["queued", "running", "cancelling", "completed", "failed", "cancelled"]
FINAL: frozenset[JobState] = frozenset({"completed", "failed", "cancelled"})
MOST_INPUTS = 1_000
MOST_DEPLOYMENTS = 20
_NOWHERE = {"input": "nowhere: only uploads are", "output": "nowhere: MYRIAD_GATEWAY_OUTPUTS is empty"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Overrides(_Strict):
    """What a job may set for itself; what is left out is as its deployment says."""

    release: int | None = Field(None, ge=1, description="Release that scores; none: the one in force at the start.")
    retries: int | None = Field(None, ge=0, le=10, description="How often a failed run is tried again.")
    timeout_seconds: int | None = Field(
        None, ge=10, le=7 * 86_400, description="From the start of the run; then it is cancelled, and the job fails."
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most workers that the run takes: of its own, or of the shared ones.",
    )
    concurrency: int | None = Field(None, ge=1, le=1000, description="Most buckets of the job at work at a time.")
    max_rejected_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the rows of new input that may be rejected; else nothing is scored.",
    )

    def over(self, base: "Overrides") -> "Overrides":
        """These, and where nothing is said those of `base`."""
        return Overrides(**(base.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)))


class BatchDeployment(_Strict):
    """A fleet with the settings that its jobs have: what an endpoint calls blue, or green."""

    fleet: Name = Field(description="Name of a deployed fleet.")
    settings: Overrides = Field(Overrides(), description="Of all its jobs, unless a job says otherwise.")


class BatchEndpoint(_Strict):
    """A durable address, and the deployments behind it."""

    deployments: dict[Name, BatchDeployment] = Field(
        min_length=1,
        max_length=MOST_DEPLOYMENTS,
        examples=[{"blue": {"fleet": "m3", "settings": {"release": 4}}, "green": {"fleet": "m3"}}],
    )
    default: Name = Field(description="The deployment of jobs that name none.", examples=["blue"])

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> "BatchEndpoint":
        if self.default not in self.deployments:
            raise ValueError(f"default: {self.default!r} is no deployment; give one of {sorted(self.deployments)}")
        return self


class JobOutput(_Strict):
    """What is to become of the predictions, which are in the lake in any case."""

    format: Literal["csv", "parquet"] = Field("csv", description="Of the output, unless who loads it says otherwise.")
    folder: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None,
        description="Where to write a file of them as well, named as the job; below MYRIAD_GATEWAY_OUTPUTS.",
        examples=["s3://out/rides"],
    )

    def place(self, job: str) -> str | None:
        """Address of the file of a job; None where none is written."""
        return f"{self.folder.rstrip('/')}/{job}.{self.format}" if self.folder else None


class JobRequest(_Strict):
    """A job: which files to score, and how."""

    inputs: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        [],
        max_length=MOST_INPUTS,
        description="Files to score, below the allowed places, or `upload://` addresses; none: what the fleet's own "
        "scoring source has, or for forecasts just the next horizon.",
        examples=[["s3://raw/rides/2026-11-26.csv"]],
    )
    deployment: Name | None = Field(None, description="The deployment to use; none: the endpoint's default.")
    overrides: Overrides = Field(Overrides(), description="Settings of this job alone.")
    output: JobOutput = Field(JobOutput(), description="Form and place of the predictions.")


class JobProgress(_Strict):
    """The stage at work, and its share that is done in percent."""

    stage: str
    percent: float


class JobInput(_Strict):
    """What became of one file. rows = accepted + quarantined."""

    uri: str
    rows: int
    accepted: int
    quarantined: int
    predictions: int
    statuses: dict[str, int]
    error: str = Field("", description="Why the file as a whole was refused.")


class JobCounts(_Strict):
    """What a completed job stands for. predictions : rows of them by status."""

    predictions: int
    segments: int
    statuses: dict[str, int]
    levels: dict[str, int] = Field(description="Predictions by fallback level; '' for a segment's own champion.")
    inputs: list[JobInput]


def request_digest(request: JobRequest) -> str:
    """Identity of what was asked for: the same key must not stand for two requests."""
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def source_root(path: str) -> str:
    """The part of a source's path that is spelled out: what lies below it is read anyway."""
    spelled = re.split(r"[*?\[]", path, maxsplit=1)[0]
    return spelled if spelled == path else spelled.rpartition("/")[0]


def check_place(uri: str, roots: Sequence[str], what: str = "input") -> str:
    """The uri, if it lies at or below one of the roots.

    Raises RequestError that says where input, or what else it is, may be. Nothing is decoded or resolved on the way to
    storage, so that what is checked here is what is read there.
    """
    places = ", ".join(sorted(set(roots))) or _NOWHERE.get(what, "nowhere")
    if _CONTROL.search(uri):
        raise RequestError(f"{uri!r}: has characters that no address here has")
    if {".", ".."}.intersection(uri.split("/")):
        raise RequestError(f"{uri}: `.` and `..` are not allowed in an address")
    if re.search(r"[*?\[]", uri):
        raise RequestError(f"{uri}: give the addresses of files; patterns are not allowed")
    if not any(_below(uri, root) for root in roots):
        raise RequestError(f"{uri}: {what} is allowed below {places}")
    return uri


def _below(uri: str, root: str) -> bool:
    root = root.rstrip("/")
    return bool(root) and (uri == root or uri.startswith(f"{root}/"))
