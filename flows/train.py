"""Flow `train`: a challenger for every segment, registered with its name and tags."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.session import open_session, run_name
from tasks.register import RegisterSummary
from tasks.train import TrainSummary

__all__ = ["register", "train"]


@flow(name="train", flow_run_name=run_name)
def train(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> TrainSummary:
    """Train the fleet's segments; unchanged ones are reused."""
    with open_session(fleet, lake, run_id, exclusive=True) as session, progress_artifacts(session.run.fleet.name):
        summary = steps.train(session)
        winners = {f"won by {name}": count for name, count in sorted(summary.candidates.items())}
        summarise(session.run.fleet.name, "train", {"segments": summary.segments, **summary.outcomes, **winners})
    return summary


@flow(name="register", flow_run_name=run_name)
def register(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> RegisterSummary:
    """Register the fleet's challengers in MLflow."""
    with open_session(fleet, lake, run_id, exclusive=True) as session, progress_artifacts(session.run.fleet.name):
        summary = steps.register(session)
        figures = {"registered": summary.registered, "new versions": summary.created, "levels": summary.levels}
        summarise(session.run.fleet.name, "register", figures)
    return summary
