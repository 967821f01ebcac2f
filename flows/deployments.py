"""Every flow as a deployment of a fleet. `prefect.yaml` says the same for the fleet m3."""

from dataclasses import replace

from adapters.orchestration.deployments import Cadence, Deployment
from flows.accuracy import accuracy
from flows.alert import alert
from flows.automations import triggers_of
from flows.ingest import ingest
from flows.maintain import maintain
from flows.partition import partition
from flows.pipeline import pipeline
from flows.promote import pin, promote, rollback, unpin
from flows.score import backfill, score
from flows.sync_registry import sync_registry
from flows.train import register, train

__all__ = ["deployments_of"]


def deployments_of(fleet: str, reference: str) -> list[Deployment]:
    """fleet : its name. reference : the name or path by which flows find its file."""
    given = (fleet, {"fleet": reference}, ("myriad", fleet))
    deployments = [
        Deployment(ingest, *given, Cadence("hourly", "5 * * * *")),
        Deployment(partition, *given, Cadence("nightly", "30 1 * * *")),
        # A second training beside the first finds the same data; the next one takes in what has come since.
        Deployment(train, *given, Cadence("nightly", "0 2 * * *"), "CANCEL_NEW"),
        Deployment(register, *given, Cadence("nightly", "0 4 * * *")),
        # One release after another; the one that waits may judge newer challengers, so it is not dropped.
        Deployment(promote, *given, Cadence("nightly", "30 4 * * *"), "ENQUEUE"),
        Deployment(rollback, *given, collision="ENQUEUE"),
        Deployment(pin, *given, collision="ENQUEUE"),
        Deployment(unpin, *given, collision="ENQUEUE"),
        # One job after another: the one that waits takes the inputs that have come since.
        Deployment(score, *given, Cadence("daily", "0 5 * * *"), "ENQUEUE"),
        Deployment(backfill, *given),
        Deployment(accuracy, *given, Cadence("daily", "0 6 * * *")),
        Deployment(sync_registry, *given, Cadence("weekly", "0 8 * * 0")),
        Deployment(maintain, fleet, {"fleet": fleet}, ("myriad", fleet), Cadence("weekly", "0 9 * * 0"), "CANCEL_NEW"),
        # A run that takes longer than a day must not pile up others behind it.
        Deployment(pipeline, *given, Cadence("nightly", "0 1 * * *"), "CANCEL_NEW"),
        Deployment(alert, *given),
    ]
    triggers = triggers_of(fleet)
    return [replace(each, triggers=triggers.get(each.flow.name, ())) for each in deployments]
