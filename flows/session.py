"""What every flow opens first: the fleet, the lake, the workers; and how a flow run is named."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from adapters.cluster import open_workers
from adapters.fleets import load_fleet
from adapters.lake import Lake
from adapters.registry import Registry
from adapters.settings import Settings
from tasks.context import Run
from tasks.work.job import Job

__all__ = ["Session", "new_run_id", "open_session", "run_name"]


@dataclass(frozen=True)
class Session:
    """A run with its workers, and the registry that goes with it."""

    run: Run
    registry: Registry
    settings: Settings


def new_run_id() -> str:
    """Time-ordered id of a run: 20261122T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_name() -> str:
    """Name of the present flow run: flow and fleet, such as `train-m3`."""
    parameters: dict[str, Any] = flow_run.parameters
    return f"{flow_run.flow_name}-{Path(str(parameters.get('fleet', ''))).stem}"


@contextmanager
def open_session(fleet: str, lake: str | None, run_id: str | None) -> Iterator[Session]:
    """fleet : path of a fleet file, or a name in `fleets/`. lake : overrides the setting."""
    settings = Settings(lake=lake) if lake else Settings()
    definition = load_fleet(fleet, settings.home)
    job = Job(definition, Lake(settings.lake_uri), run_id or new_run_id(), settings.home)
    if settings.mlflow_uri.startswith("sqlite:///"):
        Path(settings.mlflow_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    registry = Registry(settings.mlflow_uri, settings.mlflow_artifacts)
    with open_workers(settings) as workers:
        yield Session(Run(job, workers), registry, settings)
