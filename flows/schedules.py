"""A step for `prefect deploy` that keeps the schedules people have set, which prefect.yaml would reset."""

from typing import Any

from prefect.settings import get_current_settings

from adapters.orchestration.deployments import Orchestrator
from domain.errors import OrchestratorError
from flows.deployments import deployments_of

__all__ = ["current_schedules", "kept"]


def current_schedules(fleet: str) -> dict[str, dict[str, Any]]:
    """Return cron, timezone and active of every schedule, by the name of the flow's function.

    Prefect replaces all schedules of a deployment with those of its file. This step fills in their values: the
    server's, or, if the server has none, our default, paused.

    Raises
    ------
    OrchestratorError
        If one of our schedules has been changed to something other than cron, which the file cannot express.
    """
    api_url = get_current_settings().api.url
    if api_url is None:
        raise OrchestratorError("no Prefect server is known; set PREFECT_API_URL")
    present = Orchestrator(api_url).schedules_of(fleet)
    schedules = {}
    for deployment in deployments_of(fleet, fleet):
        cadence = deployment.cadence
        if cadence is None:
            continue
        name = deployment.flow.fn.__name__
        ours = {"cron": cadence.cron, "timezone": cadence.timezone, "active": False}
        theirs = present.get(name, {}).get(cadence.slug, ours)
        if theirs is None:
            raise OrchestratorError(
                f"schedule {cadence.slug} of {deployment.label} is no cron any more; `myriad deploy {fleet}` keeps it"
            )
        schedules[name] = theirs
    return schedules


kept = current_schedules
"""Former name of the step, which copies of prefect.yaml may use."""
