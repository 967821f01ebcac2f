"""Flow `ingest`: new and changed files into the lake, each exactly once."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.bodies import steps
from flows.parameters import FleetFile, LakeRoot, RunId
from flows.session import open_session, run_name
from tasks.ingest import IngestReceipt

__all__ = ["ingest"]


@flow(name="ingest", flow_run_name=run_name)
def ingest(fleet: FleetFile, lake: LakeRoot = None, run_id: RunId = None) -> IngestReceipt:
    """Land the fleet's raw files and its scoring input; returns the receipt of the raw files."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        receipt = steps.ingest(session)
        figures = {"files": receipt.files, "unchanged": receipt.unchanged, "rows read": receipt.read}
        figures |= {"rows accepted": receipt.accepted, "rows quarantined": receipt.rejected}
        summarise(
            session.run.fleet.name, "ingest", {**figures, "files refused": "<br>".join(receipt.refused) or "none"}
        )
    return receipt
