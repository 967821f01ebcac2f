"""Account: what became of the files that a scoring run was asked to score."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.lake.files import list_files, put_path
from adapters.lake.job_results import write_job_result
from adapters.queries.job_output import FORMATS, write_output
from domain.data.parts import input_part
from domain.data.tables import INPUTS, PREDICTIONS
from domain.errors import RequestError, SourceError
from domain.gateway.job_result import InputResult, JobResult
from tasks.context import Run
from tasks.score import ScoreSummary

__all__ = ["deliver_output", "job_result_of"]


def job_result_of(run: Run, summary: ScoreSummary, paths: Sequence[str] = ()) -> JobResult:
    """Write the account of a run, and return it. paths : files, folders or globs that the run was asked to score."""
    account = JobResult(
        fleet=run.fleet.name,
        run_id=run.context.run_id,
        job_id=summary.job_id,
        release=summary.release,
        task=run.fleet.task,
        rows=summary.rows,
        segments=summary.segments,
        statuses=dict(summary.statuses),
        levels=dict(summary.levels),
        repeated=summary.repeated,
        inputs=tuple(_inputs(run, paths)),
    )
    write_job_result(run.context.lake, account)
    return account


def deliver_output(run: Run, account: JobResult, place: str) -> int:
    """Write the predictions that a run stands for to a file as well, which appears whole; returns how many.

    place : ends in .csv or .parquet. Raises RequestError for another end.
    """
    folder, _, name = place.rpartition("/")
    form = next((form for form in FORMATS if name.endswith(f".{form}")), None)
    if form is None:
        raise RequestError(f"output: {place}: give a name that ends in .{' or .'.join(FORMATS)}")
    with TemporaryDirectory(prefix="myriad-output-") as scratch:
        draft = Path(scratch) / name
        rows = write_output(run.context.lake, run.fleet, account, form, draft)
        put_path(folder if "://" in folder else str(run.context.home / folder), name, draft)
    return rows


def _inputs(run: Run, paths: Sequence[str]) -> list[InputResult]:
    """Each file once, in the order in which they were asked for."""
    uris, missing = dict[str, str](), list[InputResult]()
    for path in paths:
        try:
            uris |= {file.path_id: file.uri for file in list_files(path, run.context.home)}
        except SourceError as exc:
            missing.append(InputResult(path, "", 0, 0, 0, 0, {}, str(exc)))
    if not uris:
        return missing
    rows = run.table(INPUTS).read(
        where=lambda partition: partition["role"] == "requests" and partition["path_id"] in uris
    )
    known = {row["path_id"]: row for row in rows.to_pylist()}
    ids = {row["input_id"] for row in known.values()}
    statuses = _statuses(run, ids)
    results = missing
    for path_id, uri in uris.items():
        row = known.get(path_id)
        if row is None:
            continue  # Gone before it could be read; the ingest has told so.
        counts = statuses.get(row["input_id"], Counter())
        numbers = (row["rows_read"] or 0, row["rows_accepted"] or 0, row["rows_quarantined"] or 0)
        results.append(InputResult(uri, row["input_id"], *numbers, counts.total(), dict(counts), row["error"] or ""))
    return results


def _statuses(run: Run, ids: set[str]) -> dict[str, Counter[str]]:
    """Predictions of each input by status. Those of a forecast fleet name an input where a covariate came from it."""
    if run.fleet.task_type.periodic:
        rows = run.table(PREDICTIONS).read(["input_id", "status"])
    else:
        parts = {input_part(input_id) for input_id in ids}
        rows = run.table(PREDICTIONS).read(["input_id", "status"], lambda partition: partition["part"] in parts)
    grouped = rows.group_by(["input_id", "status"]).aggregate([([], "count_all")]).to_pylist()
    statuses: dict[str, Counter[str]] = {}
    for row in grouped:
        if row["input_id"] in ids:
            statuses.setdefault(row["input_id"], Counter())[row["status"]] += row["count_all"]
    return statuses
