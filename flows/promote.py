"""Flows that make a release: `promote`, `rollback` to a former one, `pin` and `unpin` of one segment."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import FleetFile, LakeRoot, ModelVersion, ReleaseNumber, RunId, SegmentKey
from flows.session import open_session, run_name
from models.promotion.releases import PinSummary
from tasks.promote import PromoteSummary

__all__ = ["pin", "promote", "rollback", "unpin"]


@flow(name="promote", flow_run_name=run_name)
def promote(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> PromoteSummary:
    """Judge the challengers by the fleet's gates and release those that pass, all at once."""
    with open_session(fleet, lake, run_id, exclusive=True) as session, progress_artifacts(session.run.fleet.name):
        summary = steps.promote(session)
        figures = {"release": summary.release, "promoted": summary.promoted, "held": summary.held}
        gates = {
            f"gate {gate}": f"{summary.gates.get((gate, True, decisive), 0)} passed, "
            f"{summary.gates.get((gate, False, decisive), 0)} failed"
            for gate, decisive in dict.fromkeys((gate, decisive) for gate, _, decisive in summary.gates)
        }
        more = {"unchanged": summary.unchanged, "why": summary.reason or "-", **gates}
        summarise(session.run.fleet.name, "promote", {**figures, **more})
    return summary


@flow(name="rollback", flow_run_name=run_name)
def rollback(fleet: FleetFile, to: ReleaseNumber, lake: LakeRoot = None, run_id: RunId = None) -> PromoteSummary:
    """Release the champions of release `to` again."""
    with open_session(fleet, lake, run_id, exclusive=True) as session:
        summary = steps.rollback(session, to)
        figures = {"release": summary.release, "restored": to, "segments": summary.promoted, "why": summary.reason}
        summarise(session.run.fleet.name, "rollback", figures)
    return summary


@flow(name="pin", flow_run_name=run_name)
def pin(
    fleet: FleetFile, segment: SegmentKey, version: ModelVersion, lake: LakeRoot = None, run_id: RunId = None
) -> PinSummary:
    """Hold one segment at a registered version of its model; no challenger replaces it until the pin ends."""
    with open_session(fleet, lake, run_id, exclusive=True) as session:
        summary = steps.pin(session, segment, version)
        _summarise_pin(session.run.fleet.name, "pin", summary)
    return summary


@flow(name="unpin", flow_run_name=run_name)
def unpin(fleet: FleetFile, segment: SegmentKey, lake: LakeRoot = None, run_id: RunId = None) -> PinSummary:
    """End the pin of one segment: its champion stays until a challenger replaces it."""
    with open_session(fleet, lake, run_id, exclusive=True) as session:
        summary = steps.unpin(session, segment)
        _summarise_pin(session.run.fleet.name, "unpin", summary)
    return summary


def _summarise_pin(fleet: str, stage: str, summary: PinSummary) -> None:
    figures = {"segment": summary.segment, "model": summary.model_name, "version": summary.version}
    summarise(fleet, stage, {**figures, "release": summary.release, "changed": summary.changed})
