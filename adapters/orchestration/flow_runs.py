"""Runs of deployed flows: start them once per key, read their state and logs, cancel them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import ArtifactSort, LogSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling

from adapters.orchestration.deployments import connected
from domain.errors import RequestError, UnknownNameError

__all__ = ["FlowRuns", "LogLine", "RunState"]

_LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"))
_REFUSED = (400, 409, 413, 422)
"""Statuses of a request that is refused for what it says: the same request fails again."""
_NOT_BEGUN = (StateType.SCHEDULED, StateType.PENDING, StateType.PAUSED)


@dataclass(frozen=True)
class RunState:
    """State of a flow run.

    kind : Prefect's state type in lower case, such as `running`. message : reason of a failure, else empty.
    """

    kind: str
    message: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def begun(self) -> bool:
        """True once the run has started."""
        return self.kind not in {state.value.lower() for state in _NOT_BEGUN}


@dataclass(frozen=True)
class LogLine:
    """A line of a run's log."""

    at: datetime
    level: str
    message: str


class FlowRuns:
    """Flow runs on the Prefect server whose API has this URL.

    All methods raise OrchestratorError if the server does not answer.
    """

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url

    def known(self, label: str) -> bool:
        """Return True if the deployment `flow/name` exists."""
        with self._client() as client:
            return _deployment(client, label) is not None

    def start(self, label: str, parameters: Mapping[str, Any], key: str, name: str, tags: Sequence[str]) -> str:
        """Start a run of a deployment, unless one was started under the same key; return the run's id.

        Raises
        ------
        UnknownNameError
            If the deployment does not exist, or does not accept the parameters.
        """
        with self._client() as client:
            deployment = _deployment(client, label)
            if deployment is None:
                raise UnknownNameError(f"deployment {label} is not there; deploy the fleet: myriad deploy")
            try:
                run = client.create_flow_run_from_deployment(
                    deployment, parameters=dict(parameters), idempotency_key=key, name=name, tags=list(tags)
                )
            except PrefectHTTPStatusError as exc:
                if exc.response.status_code not in _REFUSED:
                    raise
                raise UnknownNameError(f"deployment {label}: {exc.response.text[:500]}") from exc
        return str(run.id)

    def emit(self, identity: str, event: str, fleet: str, payload: Mapping[str, Any]) -> None:
        """Send an event about a fleet, for automations; repeated with the same id within minutes it counts once.

        Raises
        ------
        RequestError
            If the server refuses this event, such as for its size.
        """
        resource = {"prefect.resource.id": f"myriad.fleet.{fleet}", "prefect.resource.name": fleet}
        content = {"id": identity, "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": resource}
        with self._client() as client:
            try:
                client.request("POST", "/events", json=[content | {"payload": dict(payload)}])
            except PrefectHTTPStatusError as exc:
                if exc.response.status_code not in _REFUSED:
                    raise
                raise RequestError(f"event {identity}: Prefect refuses it: {exc.response.text[:500]}") from exc

    def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """Return the states of runs by id; runs that the server does not know are left out."""
        states: dict[str, RunState] = {}
        with self._client() as client:
            for first in range(0, len(run_ids), 200):
                ids = [UUID(run_id) for run_id in run_ids[first : first + 200] if _is_run_id(run_id)]
                for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids))):
                    state = run.state
                    kind = state.type.value.lower() if state else "scheduled"
                    states[str(run.id)] = RunState(
                        kind, (state.message or "") if state else "", run.start_time, run.end_time
                    )
        return states

    def progress(self, run_id: str) -> tuple[str, float] | None:
        """Return the stage of a run and its progress in percent; None before the first stage."""
        of_run = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(run_id)]), type=ArtifactFilterType(any_=["progress"])
        )
        with self._client() as client:
            artifacts = client.read_artifacts(artifact_filter=of_run, sort=ArtifactSort.UPDATED_DESC, limit=1)
        if not artifacts or not isinstance(artifacts[0].data, int | float):
            return None
        return str(artifacts[0].description or artifacts[0].key).partition(" of ")[0], float(artifacts[0].data)

    def cancel(self, run_id: str) -> None:
        """Request the cancellation of a run; its worker ends the processes. A run that has ended is left alone."""
        with self._client() as client, suppress(ObjectNotFound):
            client.set_flow_run_state(run_id, Cancelling())

    def crash(self, run_id: str, reason: str) -> None:
        """Record that the process of a run is gone, and free its slot."""
        crashed = State(type=StateType.CRASHED, name="Crashed", message=reason)
        with self._client() as client, suppress(ObjectNotFound):
            client.set_flow_run_state(run_id, crashed, force=True)

    def logs(self, run_id: str, offset: int, limit: int) -> list[LogLine]:
        """Return lines of a run's log, the oldest first."""
        if not _is_run_id(run_id):
            return []
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(run_id)]))
        with self._client() as client:
            lines = client.read_logs(of_run, limit=limit, offset=offset, sort=LogSort.TIMESTAMP_ASC)
        return [LogLine(line.timestamp, _level(line.level), line.message) for line in lines]

    def alive(self) -> None:
        """Raise OrchestratorError if the server does not answer."""
        with self._client() as client:
            client.hello().raise_for_status()

    def _client(self) -> AbstractContextManager[SyncPrefectClient]:
        return connected(self._api_url)


def _deployment(client: SyncPrefectClient, label: str) -> UUID | None:
    try:
        return client.read_deployment_by_name(label).id
    except ObjectNotFound:
        return None


def _is_run_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _level(number: int) -> str:
    return next((name for least, name in _LEVELS if number >= least), "debug")
