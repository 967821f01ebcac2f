"""Triggers: incoming events about files, and the endpoint whose jobs score them."""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.gateway.api_keys import MAX_NAME
from domain.gateway.jobs import Name, Overrides

__all__ = ["Trigger", "client_of"]


class Trigger(BaseModel):
    """A receiver of events, which turns the files that they name into jobs or events.

    With `signature`, senders authenticate with a Standard Webhooks signature, whose secret is in the variable
    MYRIAD_HOOK_SECRET_<NAME>; with `key`, with a key of the gateway that has the scope `score`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Name = Field(description="Batch endpoint whose job scores the files.", examples=["rides"])
    deployment: Name | None = Field(
        None, description="Deployment of the endpoint; default: its default at that moment."
    )
    verification: Literal["key", "signature"] = Field("key", description="Authentication of senders.")
    delivery: Literal["job", "event"] = Field(
        "job",
        description="Result of the files: a job of the endpoint, or an event `myriad.files.landed` in Prefect, whose "
        "automations start runs.",
    )
    include: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        [],
        max_length=20,
        description="Patterns of file names, such as *.csv; default: all files.",
        examples=[["*.csv"]],
    )
    debounce_seconds: float = Field(
        10, ge=0, le=3600, description="Files that land within this time of each other become one job."
    )
    sweep_seconds: int | None = Field(
        900,
        ge=10,
        le=86_400,
        description="Interval of searches in the fleet's scoring source for files whose event was lost.",
    )
    overrides: Overrides = Field(Overrides(), description="Settings of the jobs of this trigger.")


def client_of(trigger: str) -> str:
    """Return the client that jobs and audit entries of a trigger name; PostgreSQL refuses longer names."""
    name = f"hook {trigger}"
    if len(name) <= MAX_NAME:
        return name
    return f"hook {hashlib.blake2b(trigger.encode(), digest_size=16).hexdigest()}"
