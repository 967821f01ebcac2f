"""Prefect's API: deployments, their work pool, and the heartbeats of its workers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitStrategy,
    ConcurrencyOptions,
    DeploymentSchedule,
    State,
    StateType,
)
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentTriggerTypes
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import get_current_settings
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter

from adapters.orchestration.cadence import Cadence
from domain.errors import OrchestratorError

__all__ = ["POOL", "Cadence", "Deployment", "Orchestrator", "connected"]

POOL = "local"
_TRIGGER: TypeAdapter[DeploymentTriggerTypes] = TypeAdapter(DeploymentTriggerTypes)
_IN_PROGRESS = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
# Resolved by the worker that runs the flow, so that one deployment serves workers with different home folders.
_PULL = [{"prefect.deployments.steps.set_working_directory": {"directory": "{{ $MYRIAD_HOME }}"}}]


@dataclass(frozen=True)
class Deployment:
    """A flow with its parameters, as users and schedules start it.

    Parameters
    ----------
    flow : prefect.Flow
        The flow.
    name : str
        Name of the deployment.
    parameters : mapping of str to str
        Parameters of its runs.
    tags : sequence of str
        Tags of the deployment.
    cadence : Cadence, optional
        Schedule, created paused.
    collision : {"ENQUEUE", "CANCEL_NEW"}, optional
        Allow a single run at a time, and let further runs wait or cancel them.
    triggers : sequence of mapping
        Automations that start it, each with a name, in the format of prefect.yaml.
    description : str
        Text of its page in Prefect's UI, as Markdown.
    """

    flow: Flow[..., Any]
    name: str
    parameters: Mapping[str, str]
    tags: Sequence[str]
    cadence: Cadence | None = None
    collision: Literal["ENQUEUE", "CANCEL_NEW"] | None = None
    triggers: Sequence[Mapping[str, Any]] = ()
    description: str = ""

    @property
    def label(self) -> str:
        """Label for `prefect deployment run`: flow/name."""
        return f"{self.flow.name}/{self.name}"


class Orchestrator:
    """Deployments and workers of the Prefect server whose API has this URL."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url

    def ensure_pool(self) -> None:
        """Create the process work pool `local` if it does not exist."""
        with self._client() as client:
            try:
                client.read_work_pool(POOL)
            except ObjectNotFound:
                with suppress(ObjectAlreadyExists):
                    client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))

    def deploy(self, deployments: Sequence[Deployment]) -> None:
        """Create or update deployments in the pool `local`.

        Existing schedules and automations stay as users have set them.
        """
        with self._client() as client:
            for deployment in deployments:
                _deploy(client, deployment)

    def schedules_of(self, name: str) -> dict[str, dict[str, dict[str, Any] | None]]:
        """Return the schedules of all deployments of a name.

        Returns
        -------
        dict
            Function of the flow -> slug -> cron, timezone and active; None for a schedule that is not cron.
        """
        named = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        with self._client() as client:
            deployments = client.read_deployments(deployment_filter=named, limit=200)
        return {
            str(deployment.entrypoint).rpartition(".")[2]: {
                str(schedule.slug): _cron(schedule) for schedule in deployment.schedules
            }
            for deployment in deployments
        }

    def crash_orphans(self) -> int:
        """Mark the runs that a stopped worker left behind in the pool `local` as crashed, and free their slots.

        Call it only when no worker serves the pool: runs in progress then exist in Prefect's records only.

        Returns
        -------
        int
            Number of runs.
        """
        in_progress = FlowRunFilterState(type=FlowRunFilterStateType(any_=_IN_PROGRESS))
        pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
        with self._client() as client:
            runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=in_progress), work_pool_filter=pool)
            parents = FlowRunFilterParentFlowRunId(any_=[run.id for run in runs])
            inner = FlowRunFilter(state=in_progress, parent_flow_run_id=parents)
            runs += client.read_flow_runs(flow_run_filter=inner) if runs else []
            for run in runs:
                crashed = State(
                    type=StateType.CRASHED, name="Crashed", message="The worker was stopped during the run."
                )
                client.set_flow_run_state(run.id, crashed, force=True)
        return len(runs)

    def worker_seen(self, name: str, since: datetime) -> bool:
        """Return True if the worker of this name has sent a heartbeat since then."""
        with self._client() as client:
            try:
                workers = client.read_workers_for_work_pool(POOL)
            except ObjectNotFound:
                return False
        heartbeats = [worker.last_heartbeat_time for worker in workers if worker.name == name]
        return any(heartbeat is not None and heartbeat.astimezone(UTC) >= since for heartbeat in heartbeats)

    def _client(self) -> AbstractContextManager[SyncPrefectClient]:
        return connected(self._api_url)


@contextmanager
def connected(api_url: str) -> Iterator[SyncPrefectClient]:
    """Open a client of the server, with the credentials of Prefect's settings.

    Raises
    ------
    OrchestratorError
        If the server does not answer.
    """
    secret = get_current_settings().api.auth_string
    auth = secret.get_secret_value() if secret else None
    try:
        with SyncPrefectClient(api_url, auth_string=auth) as client:
            yield client
    except httpx.HTTPError as exc:
        raise OrchestratorError(f"Prefect server at {api_url}: {exc or type(exc).__name__}") from exc


def _deploy(client: SyncPrefectClient, deployment: Deployment) -> None:
    flow = deployment.flow
    identity = client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=deployment.name,
        # A dotted path: with a file path, Dask workers cannot import the functions that they receive.
        entrypoint=f"{flow.fn.__module__}.{flow.fn.__name__}",
        version=flow.version,
        description=deployment.description or flow.description,
        parameters=dict(deployment.parameters),
        parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
        enforce_parameter_schema=True,
        tags=list(deployment.tags),
        work_pool_name=POOL,
        pull_steps=_PULL,
        schedules=_schedules(client, deployment),
        concurrency_limit=1 if deployment.collision else None,
        concurrency_options=_concurrency(deployment),
    )
    _add_triggers(client, identity, deployment)


def _add_triggers(client: SyncPrefectClient, identity: UUID, deployment: Deployment) -> None:
    if not deployment.triggers:
        return
    automations = client.read_resource_related_automations(f"prefect.deployment.{identity}")
    known = {automation.name for automation in automations}
    for definition in deployment.triggers:
        if definition["name"] not in known:
            trigger = _TRIGGER.validate_python(definition)
            trigger.set_deployment_id(identity)
            client.create_automation(trigger.as_automation())


def _concurrency(deployment: Deployment) -> ConcurrencyOptions | None:
    if deployment.collision is None:
        return None
    return ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(deployment.collision))


def _schedules(client: SyncPrefectClient, deployment: Deployment) -> list[DeploymentScheduleCreate]:
    """Return the existing schedules, as users have set them, and that of the deployment, paused, if it is new."""
    try:
        stored = client.read_deployment_by_name(deployment.label).schedules
    except ObjectNotFound:
        stored = []
    existing = [_copy(schedule) for schedule in stored]
    cadence = deployment.cadence
    if cadence is None or any(schedule.slug == cadence.slug for schedule in existing):
        return existing
    cron = CronSchedule(cron=cadence.cron, timezone=cadence.timezone)
    return [*existing, DeploymentScheduleCreate(schedule=cron, active=False, slug=cadence.slug)]


def _cron(schedule: DeploymentSchedule) -> dict[str, Any] | None:
    if not isinstance(schedule.schedule, CronSchedule):
        return None
    return {"cron": schedule.schedule.cron, "timezone": schedule.schedule.timezone, "active": schedule.active}


def _copy(schedule: DeploymentSchedule) -> DeploymentScheduleCreate:
    return DeploymentScheduleCreate(
        schedule=schedule.schedule,
        active=schedule.active,
        max_scheduled_runs=schedule.max_scheduled_runs,
        parameters=schedule.parameters,
        slug=schedule.slug,
    )
