"""Routes of the reports of a fleet's runs, for people whose machine has not the folder that runs write them to."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from adapters.lake.report_files import ReportFile, list_reports
from serving.access import check_fleet
from serving.api_page import PAGE_POLICY
from serving.auth import Client
from serving.dependencies import Dependencies
from serving.problem_details import ProblemError, answers
from serving.routes.parameters import NAME, Deps, Reader

__all__ = ["router"]

router = APIRouter(prefix="/v1/fleets", tags=["fleets"], responses=answers(401, 403, 404, 413, 422, 429, 503))
FleetName = Annotated[str, Path(pattern=NAME, description="Name of the fleet.", examples=["m3"])]
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "A page without scripts, which loads nothing.", "content": {"text/html": {}}}
}


class Report(BaseModel):
    """The report of a run. url : of its page."""

    run_id: str = Field(examples=["20261126T010000-1a2b3c"])
    written_at: datetime
    url: str


class Reports(BaseModel):
    """Reports of a fleet, newest first."""

    reports: list[Report]


@router.get("/{fleet}/reports")
def get_reports(fleet: FleetName, deps: Deps, client: Reader) -> Reports:
    """List the reports of a fleet, newest first."""
    return Reports(
        reports=[
            Report(
                run_id=report.run_id,
                written_at=report.written_at,
                url=f"/v1/fleets/{fleet}/report?run_id={report.run_id}",
            )
            for report in _reports(deps, client, fleet)
        ]
    )


@router.get("/{fleet}/report", response_class=HTMLResponse, responses=_PAGE)
def get_report(
    fleet: FleetName,
    deps: Deps,
    client: Reader,
    run_id: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Default: the newest run with a report.")
    ] = None,
) -> Response:
    """Get the report of a run as a page."""
    for report in _reports(deps, client, fleet):
        if run_id in (None, report.run_id):
            return HTMLResponse(report.path.read_bytes(), headers={"Content-Security-Policy": PAGE_POLICY})
    raise ProblemError(404, f"fleet {fleet}: no report{f' of run {run_id}' if run_id else ''} is there; see /reports")


def _reports(deps: Dependencies, client: Client, fleet: str) -> list[ReportFile]:
    """Return the reports of a fleet; a run is found among them, never by a path made of what a client sent."""
    check_fleet(client, fleet, {name: endpoint for name, (endpoint, _) in deps.store.endpoints.all().items()})
    return list_reports(deps.reports / fleet)
