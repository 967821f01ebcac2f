"""Every flow as a deployment of a fleet, by the list of stages. `prefect.yaml` states the same for the fleet m3."""

from adapters.orchestration.cadence import Cadence
from adapters.orchestration.deployments import Deployment
from flows.automations import triggers_of
from flows.stages import OPERATIONS, STAGES, Operation

__all__ = ["deployments_of", "description_of", "operations"]

_PIPELINE = Operation(
    "flows.pipeline:pipeline",
    Cadence("nightly", "0 1 * * *"),
    "CANCEL_NEW",
    note="A run that takes longer than a day must not pile up others behind it.",
    group="pipeline",
)


def operations() -> list[Operation]:
    """Return every flow with its schedule: the stages in order, the pipeline, and the other operations."""
    return [*(stage.operation for stage in STAGES if stage.operation), _PIPELINE, *OPERATIONS]


def deployments_of(fleet: str, reference: str) -> list[Deployment]:
    """Return the deployments of a fleet.

    Parameters
    ----------
    fleet : its name.
    reference : the name or path by which flows find its file.
    """
    triggers = triggers_of(fleet)
    return [
        Deployment(
            operation.flow,
            fleet,
            {"fleet": fleet if operation.by_name else reference},
            ("myriad", fleet, operation.group),
            operation.cadence,
            operation.collision,
            triggers.get(operation.flow.name, ()),
            description_of(operation, fleet),
        )
        for operation in operations()
    ]


def description_of(operation: Operation, fleet: str) -> str:
    """Return what Prefect's UI says about a deployment: what its flow does, and for whom."""
    paragraph = (operation.flow.description or "").partition("\n\n")[0]
    return f"Fleet {fleet}. {' '.join(paragraph.split())}"
