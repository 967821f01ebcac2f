"""Flow `pipeline`: raw files to committed predictions and a report."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect import flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from adapters.registry import Registry
from domain.errors import RegistryError
from flows.bodies.run_stages import PipelineResult, run_stages
from flows.parameters import FleetFile, LakeRoot, RunId, SegmentPattern
from flows.session import new_run_id, open_session, run_name

__all__ = ["PipelineResult", "pipeline"]


@flow(name="pipeline", flow_run_name=run_name)
def pipeline(
    fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None, segments: SegmentPattern = None
) -> PipelineResult:
    """Ingest, partition, train, register, promote, score and report.

    A failure of the fleet's sink is raised at the end, when everything else is done.
    """
    run_id = run_id or new_run_id()
    with (
        open_session(fleet, lake, run_id, exclusive=True, part=segments) as session,
        _one_heartbeat(),
        _opened_early(session.registry),
    ):
        return run_stages(session, (fleet, lake, run_id), recorded=True)


@contextmanager
def _one_heartbeat() -> Iterator[None]:
    """Switch off the heartbeats of flows within this one: they add nothing, and ending one takes a second."""
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@contextmanager
def _opened_early(registry: Registry) -> Iterator[None]:
    """Open the registry while workers run the first stages: importing MLflow takes seconds."""

    def open_it() -> None:
        # The stage that needs the registry meets the same error, and reports it.
        with suppress(RegistryError):
            registry.path  # noqa: B018 - connects

    opener = threading.Thread(target=open_it, name="open-registry")
    opener.start()
    try:
        yield
    finally:
        opener.join()
