"""Incoming webhooks: which events become jobs of which endpoint."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.gateway.jobs import Name, Overrides

__all__ = ["Trigger"]


class Trigger(BaseModel):
    """Where events come in, and what becomes of the files that they name.

    With `signature` a sender proves itself by the signature of Standard Webhooks, with the secret that the environment
    variable MYRIAD_HOOK_SECRET_<NAME> has; with `key` by a key of the gateway that has the scope `score`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Name = Field(description="Batch endpoint whose job scores the files.", examples=["rides"])
    deployment: Name | None = Field(None, description="Its deployment; none: the default at that moment.")
    verification: Literal["key", "signature"] = Field("key", description="How a sender proves itself.")
    delivery: Literal["job", "event"] = Field(
        "job",
        description="What the files become: a job of the endpoint, or an event `myriad.files.landed` in Prefect, whose "
        "automations start runs.",
    )
    include: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        [], max_length=20, description="Patterns of file names, such as *.csv; none: all.", examples=[["*.csv"]]
    )
    debounce_seconds: float = Field(
        10, ge=0, le=3600, description="Files that land within this time of each other become one job."
    )
    sweep_seconds: int | None = Field(
        900,
        ge=10,
        le=86_400,
        description="How often the fleet's scoring source is looked through for files whose event was lost.",
    )
    overrides: Overrides = Field(Overrides(), description="Settings of its jobs.")
