"""Delivery of predictions to the fleet's sink, whose drivers only fleets with a sink import."""

from flows.tasks import as_task
from tasks.deliver import deliver_predictions

__all__ = ["to_sink"]

to_sink = as_task(deliver_predictions, "deliver to sink")
