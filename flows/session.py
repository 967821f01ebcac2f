"""The session that every flow opens first: fleet, lake, registry and workers; and the names of flow runs."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.compute.progress import subscribed
from adapters.compute.workers import Workers
from adapters.health import preflight
from adapters.lake.lease import hold_lease
from adapters.lake.table import Lake
from adapters.registry import DirectAccess, Registry
from adapters.settings import Settings
from adapters.sources.fleet_files import load_fleet
from flows.tasks import flow_name
from tasks.context import Run
from tasks.workers.run_context import RunContext

__all__ = ["Session", "new_run_id", "open_session", "run_name"]


@dataclass(frozen=True)
class Session:
    """A run with its workers and its registry.

    Parameters
    ----------
    arguments : fleet, lake and run id; a flow with the same ones shares the session.
    root : the outermost flow, such as `pipeline`; `command` outside a flow.
    looks : the run only looks whether there is work, and must leave before it does any.
    """

    run: Run
    registry: Registry
    settings: Settings
    arguments: tuple[str, str | None, str]
    root: str
    looks: bool = False


_present: ContextVar[Session | None] = ContextVar("session", default=None)


def new_run_id() -> str:
    """Return a new, time-ordered run id: 20261122T235959-1a2b3c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def run_name() -> str:
    """Return the name of the current flow run, from flow, fleet and run or job: `train-m3-20261122T235959-1a2b3c`.

    A run without an id so far is named after the time for which it was scheduled.
    """
    from prefect.runtime import flow_run

    parameters: dict[str, Any] = flow_run.parameters
    began = flow_run.scheduled_start_time or datetime.now(UTC)
    run_id = parameters.get("run_id") or f"{began.astimezone(UTC):%Y%m%dT%H%M%S}"
    fleet = Path(str(parameters.get("fleet", ""))).name.removesuffix(".yaml")
    return f"{flow_run.flow_name}-{fleet}-{run_id}"


@contextmanager
def open_session(
    fleet: str,
    lake: str | None,
    run_id: str | None,
    *,
    exclusive: bool = False,
    workers: int | None = None,
    pool: Workers | None = None,
    part: str | None = None,
) -> Iterator[Session]:
    """Open the fleet, its lake, the registry and the workers; a flow inside another one of the run shares its session.

    Parameters
    ----------
    fleet : path of a fleet file, or a name in `fleets/`.
    lake, workers : override the settings.
    exclusive : hold the fleet's lease for the length of the session.
    pool : workers to use; by default those of the settings are opened.
    part : pattern of the segments to train; by default all.

    Raises
    ------
    BusyError
        If another exclusive run of the fleet is at work.
    """
    outer = _present.get()
    if outer is not None and outer.arguments == (fleet, lake, run_id):
        with _alone(outer.run.context, exclusive):
            yield outer
        return
    overrides = {"lake": lake or None, "workers": workers}
    settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    definition = load_fleet(fleet, settings.home)
    preflight(settings, registers=exclusive)
    lake_of_run, name = Lake(settings.lake_uri), run_id or new_run_id()
    context = RunContext(definition, lake_of_run, name, settings.home, part=part or "")
    registry = _registry(settings)
    with _tagged(definition.name), _alone(context, exclusive), _logged(), _workers(settings, pool) as opened:
        root = flow_name() or "command"
        session = Session(
            Run(context, opened), registry, settings, (fleet, lake, context.run_id), root, pool is not None
        )
        token = _present.set(session)
        try:
            yield session
        finally:
            _present.reset(token)


def _registry(settings: Settings) -> Registry:
    if settings.mlflow_uri.startswith("sqlite:///"):
        Path(settings.mlflow_uri.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    direct_access = DirectAccess(settings.registry_database, settings.registry_files)
    return Registry(settings.mlflow_uri, settings.mlflow_artifacts, direct_access=direct_access)


def _workers(settings: Settings, pool: Workers | None) -> AbstractContextManager[Workers]:
    if pool is not None:
        return nullcontext(pool)
    from adapters.compute.dask import open_workers

    return open_workers(settings)


def _tagged(fleet: str) -> AbstractContextManager[None]:
    """Tag the flow run with the fleet, if there is one."""
    if flow_name() is None:
        return nullcontext()
    from flows.run_tags import tagged

    return tagged(fleet)


def _logged() -> AbstractContextManager[None]:
    """Log the progress in the flow run, if there is one."""
    if flow_name() is None:
        return nullcontext()
    from flows.artifacts import log_progress

    return subscribed(log_progress)


def _alone(context: RunContext, exclusive: bool) -> AbstractContextManager[None]:
    what = flow_name() or "run"
    return hold_lease(context.lake, context.fleet.name, context.run_id, what) if exclusive else nullcontext()
