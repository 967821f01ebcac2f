"""Batch endpoints and their jobs: requests, settings, states and results."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import RequestError
from domain.gateway.kept_text import LONGEST_URI

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
    """Settings of a job; those left out come from its deployment."""

    release: int | None = Field(
        None, ge=1, le=10**9, description="Release that scores; default: the release in force at the start."
    )
    retries: int | None = Field(None, ge=0, le=10, description="Number of retries after a failed run.")
    timeout_seconds: int | None = Field(
        None,
        ge=10,
        le=7 * 86_400,
        description="Time limit, from the start of the run; after it, the run is cancelled and the job fails.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Maximum number of workers, dedicated or shared.",
    )
    concurrency: int | None = Field(None, ge=1, le=1000, description="Maximum number of buckets in progress.")
    max_rejected_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Maximum share of rejected rows in new input; above it, nothing is scored.",
    )

    def over(self, base: "Overrides") -> "Overrides":
        """Return these settings, completed by those of `base`."""
        return Overrides(**(base.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)))


class BatchDeployment(_Strict):
    """A fleet with the settings of its jobs, under a name such as blue or green."""

    fleet: Name = Field(description="Name of a deployed fleet.")
    settings: Overrides = Field(Overrides(), description="Settings of its jobs, unless a job overrides them.")


class BatchEndpoint(_Strict):
    """A stable address for one or more deployments."""

    deployments: dict[Name, BatchDeployment] = Field(
        min_length=1,
        max_length=MOST_DEPLOYMENTS,
        examples=[{"blue": {"fleet": "m3", "settings": {"release": 4}}, "green": {"fleet": "m3"}}],
    )
    default: Name = Field(description="Deployment of jobs that do not name one.", examples=["blue"])

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> "BatchEndpoint":
        if self.default not in self.deployments:
            raise ValueError(f"default: {self.default!r} is no deployment; give one of {sorted(self.deployments)}")
        return self


class JobOutput(_Strict):
    """Format and location of the predictions, which are in the lake in any case."""

    format: Literal["csv", "parquet"] = Field(
        "csv", description="Default format of downloads, and format of the file in `folder`."
    )
    folder: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None,
        description="Folder for a file of the predictions, named after the job; below MYRIAD_GATEWAY_OUTPUTS.",
        examples=["s3://out/rides"],
    )

    def place(self, job: str) -> str | None:
        """Return the address of the file of a job; None without a folder."""
        return f"{self.folder.rstrip('/')}/{job}.{self.format}" if self.folder else None


class JobRequest(_Strict):
    """A job: the files to score, and its settings."""

    inputs: list[Annotated[str, Field(min_length=1, max_length=LONGEST_URI)]] = Field(
        [],
        max_length=MOST_INPUTS,
        description="Files to score, below the allowed locations, or `upload://` addresses; default: the fleet's own "
        "scoring source, or the next horizon of forecasts.",
        examples=[["s3://raw/rides/2026-11-26.csv"]],
    )
    deployment: Name | None = Field(None, description="Deployment to use; default: the default of the endpoint.")
    overrides: Overrides = Field(Overrides(), description="Settings of this job only.")
    output: JobOutput = Field(JobOutput(), description="Format and location of the predictions.")


class JobProgress(_Strict):
    """The current stage, and its progress in percent."""

    stage: str
    percent: float


class JobInput(_Strict):
    """Result of one file. rows = accepted + quarantined."""

    uri: str
    rows: int
    accepted: int
    quarantined: int
    predictions: int
    statuses: dict[str, int]
    error: str = Field("", description="Reason for which the whole file was refused.")


class JobCounts(_Strict):
    """Counts of a completed job. predictions : number of predicted rows. statuses : predictions by status."""

    predictions: int
    segments: int
    statuses: dict[str, int]
    levels: dict[str, int] = Field(description="Predictions by fallback level; '' for a segment's own champion.")
    inputs: list[JobInput]


def request_digest(request: JobRequest) -> str:
    """Return a digest of the request, so that an idempotency key cannot stand for two requests."""
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def source_root(path: str) -> str:
    """Return the literal part of a source's path, before any pattern."""
    spelled = re.split(r"[*?\[]", path, maxsplit=1)[0]
    return spelled if spelled == path else spelled.rpartition("/")[0]


def check_place(uri: str, roots: Sequence[str], what: str = "input") -> str:
    """Return the uri if it is at or below one of the roots.

    Raises RequestError with the allowed locations otherwise. Nothing is decoded or resolved on the way to storage, so
    that the checked address is exactly the one that is read.
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
