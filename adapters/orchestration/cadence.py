"""Schedules of deployments."""

from dataclasses import dataclass

__all__ = ["Cadence"]


@dataclass(frozen=True)
class Cadence:
    """Schedule of a deployment, which takes effect once a user activates it."""

    slug: str
    cron: str
    timezone: str = "UTC"
