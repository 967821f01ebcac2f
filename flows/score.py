"""Flow `score`: predictions of the next horizon or for new inputs, committed once."""

from prefect import flow

from flows.artifacts import progress_artifacts, summarise
from flows.session import open_session, run_name
from tasks.ingest import ingest_files
from tasks.score import ScoreSummary, score_fleet

__all__ = ["score"]


@flow(name="score", flow_run_name=run_name)
def score(fleet: str, lake: str | None = None, run_id: str | None = None, release: int | None = None) -> ScoreSummary:
    """Take in new scoring input and score it with `release`, by default the one in force."""
    with open_session(fleet, lake, run_id) as session, progress_artifacts(session.run.fleet.name):
        run = session.run
        if run.fleet.score is not None:
            ingest_files(run, "requests", run.fleet.score.source)
        summary = score_fleet(run, release)
        figures = {"job": summary.job_id, "release": summary.release, "rows": summary.rows}
        figures |= {f"status {status}": rows for status, rows in summary.statuses.items()}
        figures |= {f"by {level or 'own champion'}": rows for level, rows in summary.levels.items()}
        summarise(run.fleet.name, "score", figures)
    return summary
