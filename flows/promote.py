"""Flows `promote` and `rollback`: the fleet's next release, or a former one again."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.session import open_session, run_name
from tasks.promote import PromoteSummary, promote_challengers, restore_release, sync_aliases

__all__ = ["promote", "rollback"]


@flow(name="promote", flow_run_name=run_name)
def promote(fleet: str, lake: str | None = None, run_id: str | None = None) -> PromoteSummary:
    """Judge the challengers by the fleet's gates and release those that pass, all at once."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        summary = promote_challengers(session.run)
        sync_aliases(session.run, session.registry)
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
def rollback(fleet: str, to: int, lake: str | None = None, run_id: str | None = None) -> PromoteSummary:
    """Release the champions of release `to` again."""
    with open_session(fleet, lake, run_id) as session:
        summary = restore_release(session.run, to)
        sync_aliases(session.run, session.registry)
        figures = {"release": summary.release, "restored": to, "segments": summary.promoted}
        summarise(session.run.fleet.name, "rollback", figures)
    return summary
