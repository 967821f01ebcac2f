"""Tags of flow runs, by which Prefect's UI shows all that belongs to a fleet."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

__all__ = ["tagged"]


@contextmanager
def tagged(fleet: str) -> Iterator[None]:
    """Tag the current flow run, and the runs within it, with the fleet, as its deployments do."""
    present, own = set(flow_run.tags or ()), {"myriad", fleet}
    if not own <= present:  # The run of a command.
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(str(flow_run.id)), tags=sorted(present | own))
    with tags(*own):
        yield
