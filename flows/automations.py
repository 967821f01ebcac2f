"""Automations of a fleet's deployments, as `triggers` of Prefect's deployments; prefect.yaml says the same."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["triggers_of"]

_BEGIN_LIMIT_S = 15 * 60
_END_LIMIT_S = 6 * 3600
_ENDS = ("Completed", "Failed", "Crashed", "Cancelled")


def triggers_of(fleet: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the triggers of each flow.

    Runs within `pipeline` belong to no deployment and therefore trigger nothing: the pipeline runs all stages itself.
    """
    of_fleet = {"prefect.resource.id": f"myriad.fleet.{fleet}"}
    return {
        "register": [_after("train", "register", fleet)],
        "promote": [_after("register", "promote", fleet)],
        "score": [
            {
                "name": f"{fleet}: files landed, score",
                "type": "event",
                "expect": ["myriad.files.landed"],
                "match": of_fleet,
                "parameters": {"inputs": "{{ event.payload.inputs }}", "run_id": "{{ event.payload.run_id }}"},
            },
            {
                "name": f"{fleet}: new release, score",
                "type": "event",
                "expect": ["myriad.release.promoted"],
                "match": of_fleet | {"myriad.started-by": "!pipeline"},
            },
        ],
        "alert": [
            _overdue(f"{fleet}: not begun, alert", fleet, "a run has not begun in time", ["Late"], _BEGIN_LIMIT_S),
            _overdue(f"{fleet}: not over, alert", fleet, "a run takes too long", ["Running"], _END_LIMIT_S),
        ],
    }


def _after(first: str, then: str, fleet: str) -> Mapping[str, Any]:
    """Return the trigger that starts one deployment when a run of another one completes."""
    return {
        "name": f"{fleet}: {first} done, {then}",
        "type": "event",
        "expect": ["prefect.flow-run.Completed"],
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": [
            {"prefect.resource.role": "flow", "prefect.resource.name": first},
            {"prefect.resource.role": "deployment", "prefect.resource.name": fleet},
        ],
    }


def _overdue(name: str, fleet: str, what: str, after: Sequence[str], within: int) -> Mapping[str, Any]:
    """Return the trigger that raises an alert when a run stays in a state for too long."""
    left = [*(["Running"] if "Running" not in after else []), *_ENDS]
    return {
        "name": name,
        "type": "event",
        "posture": "Proactive",
        "after": [f"prefect.flow-run.{state}" for state in after],
        "expect": [f"prefect.flow-run.{state}" for state in left],
        "match": {"prefect.resource.id": "prefect.flow-run.*"},
        "match_related": [
            {"prefect.resource.role": "deployment", "prefect.resource.name": fleet},
            # An alert that does not start must not raise alerts endlessly.
            {"prefect.resource.role": "flow", "prefect.resource.name": "!alert"},
        ],
        "for_each": ["prefect.resource.id"],
        "within": within,
        "parameters": {"what": what, "about": "{{ firing.triggering_labels['prefect.resource.id'] }}"},
    }
