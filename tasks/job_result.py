"""Result of a scoring job: the fate of every file that the run had to score, and the file of its predictions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.files import put_path
from adapters.lake.job_results import write_job_result
from adapters.queries.job_output import FORMATS, write_output
from adapters.sources.kinds import list_inputs
from domain.data.parts import input_part
from domain.data.tables import INPUTS, PREDICTIONS
from domain.errors import RequestError, SourceError
from domain.gateway.job_result import InputResult, JobResult
from tasks.context import Run
from tasks.score import ScoreSummary
from tasks.workers.score import level_counts

__all__ = ["deliver_output", "job_result_of"]


def job_result_of(run: Run, summary: ScoreSummary, paths: Sequence[str] = ()) -> JobResult:
    """Write the result of a run to the lake and return it. paths : files, folders or globs that were requested."""
    inputs, totals = _inputs(run, paths)
    levels, segments = (totals.levels, totals.segments) if totals else (summary.levels, summary.segments)
    result = JobResult(
        fleet=run.fleet.name,
        run_id=run.context.run_id,
        job_id=summary.job_id,
        release=summary.release,
        task=run.fleet.task,
        rows=summary.rows,
        segments=segments,
        statuses=dict(summary.statuses),
        levels=dict(levels),
        repeated=summary.repeated,
        inputs=tuple(inputs),
    )
    write_job_result(run.context.lake, result)
    return result


def deliver_output(run: Run, result: JobResult, place: str) -> int:
    """Write the job's predictions to a file, which appears only when it is complete; return their number.

    place : path or URI that ends in .csv or .parquet. Raises RequestError for any other ending.
    """
    folder, _, name = place.rpartition("/")
    form = next((form for form in FORMATS if name.endswith(f".{form}")), None)
    if form is None:
        raise RequestError(f"output: {place}: give a name that ends in .{' or .'.join(FORMATS)}")
    with TemporaryDirectory(prefix="myriad-output-") as scratch:
        draft = Path(scratch) / name
        rows = write_output(run.context.lake, run.fleet, result, form, draft)
        put_path(folder if "://" in folder else str(run.context.home / folder), name, draft)
    return rows


@dataclass(frozen=True)
class _Totals:
    """Figures of all files of a job together, whichever job scored them."""

    levels: Counter[str]
    segments: int


def _inputs(run: Run, paths: Sequence[str]) -> tuple[list[InputResult], _Totals | None]:
    """Return the result of each file once, in the order of the request; totals if their rows were predicted."""
    uris, missing = dict[str, str](), list[InputResult]()
    source = (run.fleet.score or run.fleet).source
    for path in paths:
        try:
            uris |= {item.path_id: item.uri for item in list_inputs(source, run.context.home, path).inputs}
        except SourceError as exc:
            missing.append(InputResult(path, "", 0, 0, 0, 0, {}, str(exc)))
    if not uris:
        return missing, None
    rows = run.table(INPUTS).read(
        where=lambda partition: partition["role"] == "requests" and partition["path_id"] in uris
    )
    known = {row["path_id"]: row for row in rows.to_pylist()}
    ids = {row["input_id"] for row in known.values()}
    statuses, totals = _predicted(run, ids)
    results = missing
    for path_id, uri in uris.items():
        row = known.get(path_id)
        if row is None:
            continue  # Gone before it could be read; the ingest has reported it.
        counts = statuses.get(row["input_id"], Counter())
        numbers = (row["rows_read"] or 0, row["rows_accepted"] or 0, row["rows_quarantined"] or 0)
        results.append(InputResult(uri, row["input_id"], *numbers, counts.total(), dict(counts), row["error"] or ""))
    return results, totals


def _predicted(run: Run, ids: set[str]) -> tuple[dict[str, Counter[str]], _Totals | None]:
    """Count the predictions of each input by status. A forecast names the input that its covariates came from."""
    if run.fleet.task_type.periodic:
        rows, totals = run.table(PREDICTIONS).read(["input_id", "status"]), None
    else:
        parts, columns = {input_part(input_id) for input_id in ids}, ["input_id", "status", "segment", "fallback_level"]
        rows = run.table(PREDICTIONS).read(columns, lambda partition: partition["part"] in parts)
        rows = rows.filter(pc.is_in(rows["input_id"], pa.array(ids, pa.string())))
        totals = _Totals(level_counts(rows), len(pc.unique(rows["segment"])))
    grouped = rows.group_by(["input_id", "status"]).aggregate([([], "count_all")]).to_pylist()
    statuses: dict[str, Counter[str]] = {}
    for row in grouped:
        if row["input_id"] in ids:
            statuses.setdefault(row["input_id"], Counter())[row["status"]] += row["count_all"]
    return statuses, totals
