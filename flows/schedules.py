"""A step for `prefect deploy`: schedules as people have set them, where prefect.yaml would put them back."""

from typing import Any

from prefect.settings import get_current_settings

from adapters.orchestration.deployments import Orchestrator
from domain.errors import OrchestratorError
from flows.deployments import deployments_of

__all__ = ["current_schedules", "kept"]


def current_schedules(fleet: str) -> dict[str, dict[str, Any]]:
    """Return cron, timezone and active of every schedule, by the name of the flow's function.

    Prefect replaces all schedules of a deployment by those of its file, whose values are these: the server's, or ours,
    paused, where it has none.

    Raises
    ------
    OrchestratorError
        For a schedule of ours that is not a cron any more, which a file cannot express.
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
"""Its former name, which copies of prefect.yaml may have."""
