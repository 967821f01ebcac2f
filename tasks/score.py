"""Score every bucket with one release, and commit all predictions once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from adapters.databases.delivery import Delivery
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.calendar.time_spans import parse_time_span, period_ends, period_of, time_span_text
from domain.data.parts import input_part, is_input_part, part_input, query_place
from domain.data.tables import CHAMPIONS, OUTCOMES, PREDICTIONS, SEGMENTS, landed, levels, observations
from domain.errors import RequestError, ScoringError, StaleTableError
from tasks.checkpoint import clear_checkpoints, map_with_checkpoints
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.promote import current_release, kept_releases
from tasks.scoring_request import scoring_request, scoring_weight
from tasks.workers.score import ScoreReceipt, ScoringRequest, in_sample_rows, level_counts, score_bucket

__all__ = ["ScoreSummary", "past_moments", "score_fleet"]

_ATTEMPTS = 5
_MOST_JOBS = 1_000
_FIGURES = ["segment", "status", "fallback_level", "origin", "cutoff"]


@dataclass(frozen=True)
class ScoreSummary:
    """Figures of one scoring job. rows : number of its predictions; 0 if there was nothing new to score.

    statuses : rows by status. levels : rows with a prediction by fallback level ('' = the segment's own champion).
    repeated : the same job was committed before; its rows were not written again.
    as_of : past date of the forecast, None for the newest rows. in_sample : rows whose model was trained on rows after
    their origin. standing : rows left out because forecasts from the newest rows have the same origin; 0 if repeated.
    delivery : rows written to the fleet's sink.
    """

    job_id: str
    release: int
    rows: int
    segments: int
    statuses: Mapping[str, int]
    levels: Mapping[str, int]
    inputs: int
    repeated: bool = False
    as_of: str | None = None
    in_sample: int = 0
    standing: int = 0
    delivery: Delivery | None = None


def score_fleet(run: Run, release: int | None = None, as_of: datetime | None = None) -> ScoreSummary:
    """Forecast the next horizon, or predict the rows of new inputs; each input exactly once.

    release : the release to score with; by default the one in force at the start. Before the first release every
    segment uses the end of the fallback chain: its last value, or no model.
    as_of : use only the observations up to this past time, one of `past_moments`; by default all of them.
    Raises ScoringError if nothing has been ingested, or the release is not kept.
    """
    if not recorded_buckets(run):
        raise ScoringError(f"fleet {run.fleet.name}: nothing to score from; ingest and partition first")
    pinned = current_release(run) if release is None else release
    releases = kept_releases(run)
    if release is not None and release not in releases:
        raise ScoringError(f"fleet {run.fleet.name}: release {release} is not kept; choose one of {releases}")
    for attempt in range(_ATTEMPTS):
        snapshot = run.at_snapshot(PREDICTIONS, CHAMPIONS, OUTCOMES, observations(run.fleet), levels(run.fleet))
        based_on = snapshot.table(PREDICTIONS).version()
        request, part = scoring_request(snapshot, pinned, as_of), f"{as_of:%Y%m%dT%H%M%S}" if as_of else ""
        commits = run.table(PREDICTIONS).mark(request.job_id) or 0
        if commits and _stands(run, request):
            clear_checkpoints(run, "score", part)
            return _repeated(run, request)
        if not request.inputs and not run.fleet.task_type.periodic:
            clear_checkpoints(run, "score")
            return _standing(run, request)
        work, basis = partial(score_bucket, snapshot.context, request), _basis(snapshot, request, based_on)
        weight = scoring_weight(snapshot, request)
        receipts = map_with_checkpoints(
            run, "score", basis, work, range(request.buckets), ScoreReceipt, part=part, weight=weight
        )
        try:
            ours = _commit(run, request, receipts, based_on, commits + 1)
        except StaleTableError:
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            clear_checkpoints(run, "score", part)
            # Another process may have committed the same job a moment before.
            return _summary(run, request, receipts) if ours else _repeated(run, request)
    raise AssertionError("unreachable")


def past_moments(run: Run, first: str, last: str | None = None) -> list[datetime]:
    """Return the time that a date such as `2024-06` names, or the end of every period from one date to another.

    Raises RequestError if a text is not a date, there are no observations by then, or the fleet does not forecast.
    """
    fleet = run.fleet
    if not fleet.task_type.periodic:
        raise RequestError(
            f"fleet {fleet.name}: a past date is for forecast fleets; a {fleet.task} fleet predicts each row of its "
            "scoring input once, whatever its time"
        )
    clock, name = fleet.clock, "as_of" if last is None else "from"
    start = parse_time_span(first, clock, name)
    end = start if last is None else parse_time_span(last, clock, "to")
    if start.first > end.last:
        raise RequestError(f"from {first} to {last}: the first date is after the last one")
    profiles = run.table(SEGMENTS).read(["first_time", "last_time"])
    oldest, newest = pc.min(profiles["first_time"]).as_py(), pc.max(profiles["last_time"]).as_py()
    if oldest is None:
        raise ScoringError(f"fleet {fleet.name}: nothing to score from; ingest and partition first")
    moments = [end.last] if last is None else period_ends(start, end, clock)
    outside = period_of(end.first, clock) > period_of(newest, clock)
    if moments[0] < oldest or outside:
        date = last if outside and last is not None else first
        raise RequestError(
            f"fleet {fleet.name}: {date} is outside the observations, which are from "
            f"{time_span_text(oldest, clock)} to {time_span_text(newest, clock)}"
        )
    if len(moments) > _MOST_JOBS:
        raise RequestError(f"from {first} to {last} are {len(moments):,} periods; at most {_MOST_JOBS:,} a backfill")
    return moments


def _basis(run: Run, request: ScoringRequest, based_on: int) -> object:
    """Return everything that a bucket's predictions depend on: the request except its time, and the table versions."""
    pinned = asdict(replace(request, scored_at=datetime.min.replace(tzinfo=UTC)))
    return [pinned, based_on, run.table(observations(run.fleet)).version()]


def _stands(run: Run, request: ScoringRequest) -> bool:
    """Return whether the predictions of a committed job still count.

    If inputs change and change back, the job has the scope, and so the id, of one whose predictions others replaced.
    """
    if not run.fleet.task_type.periodic:
        return not request.inputs  # Inputs with predictions are not in the scope.
    moment = pc.field("as_of").is_null() if request.as_of is None else pc.field("as_of") == request.as_of
    rows = run.table(PREDICTIONS).read(["job_id", "scored_at"], rows=(pc.field("release") == request.release) & moment)
    newest = rows.filter(pc.equal(rows["scored_at"], pc.max(rows["scored_at"])))
    return newest.num_rows == 0 or request.job_id in newest["job_id"].to_pylist()


def _commit(run: Run, request: ScoringRequest, receipts: list[ScoreReceipt], based_on: int, number: int) -> bool:
    """Commit all predictions of the job, replacing older ones, in one transaction; False if it exists already.

    number : of the commit, among those of the job.
    """
    table = run.table(PREDICTIONS)
    replaced = {path for receipt in receipts for path in receipt.replaces}
    staged = [file for receipt in receipts for file in receipt.files]
    # An input without a single valid row counts as scored too: only an empty file can record that.
    covered = {file.partition["part"] for file in staged}
    if not run.fleet.task_type.periodic:
        parts = [part for part in map(input_part, request.inputs) if part not in covered]
        staged += [table.stage(table.spec.file_schema.empty_table(), part=part) for part in parts]

    outdated = _outdated(table, request)

    def removes(file: StagedFile) -> bool:
        return file.path in replaced or file.partition["part"] in outdated

    table.create()
    note = {"run_id": run.context.run_id, "job_id": request.job_id, "release": str(request.release)}
    checked = based_on if based_on >= 0 else None
    return table.replace(staged, removes, transaction=(request.job_id, number), based_on=checked, note=note)


def _outdated(table: Table, request: ScoringRequest) -> set[str]:
    """Return the parts of former versions of the request's inputs.

    A slice of a query that rows came to late is an input of its own, with all rows of the slice. Its predictions take
    the place of those of the slice before, so that every row has one.
    """
    places = {place: input_id for input_id in request.inputs if (place := query_place(input_id))}
    if not places:
        return set()
    parts = {file.partition["part"] for file in table.files() if is_input_part(file.partition["part"])}
    current = set(map(input_part, request.inputs))
    return {part for part in parts - current if query_place(part_input(part)) in places}


def _summary(run: Run, request: ScoringRequest, receipts: list[ScoreReceipt]) -> ScoreSummary:
    statuses: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    for receipt in receipts:
        statuses.update(receipt.statuses)
        levels.update(receipt.levels)
    rows = sum(receipt.rows for receipt in receipts)
    segments = sum(receipt.segments for receipt in receipts)
    return ScoreSummary(
        request.job_id,
        request.release,
        rows,
        segments,
        statuses,
        levels,
        len(request.inputs),
        as_of=_as_of_text(run, request),
        in_sample=sum(receipt.in_sample for receipt in receipts),
        standing=sum(receipt.standing for receipt in receipts),
    )


def _as_of_text(run: Run, request: ScoringRequest) -> str | None:
    if request.as_of is None:
        return None
    return request.as_of.isoformat(timespec="minutes") if run.fleet.clock.rule.is_clock else f"{request.as_of:%Y-%m-%d}"


def _standing(run: Run, request: ScoringRequest) -> ScoreSummary:
    """Summarise a job without new input: the predictions committed before stand."""
    requested = {file.partition["input_id"] for file in run.table(landed(run.fleet, "requests")).files()}
    parts = set(map(input_part, requested))
    rows = run.table(PREDICTIONS).read(_FIGURES, lambda partition: partition["part"] in parts)
    return _figures(run, request, rows)


def _repeated(run: Run, request: ScoringRequest) -> ScoreSummary:
    return _figures(run, request, run.table(PREDICTIONS).read(_FIGURES, rows=pc.field("job_id") == request.job_id))


def _figures(run: Run, request: ScoringRequest, rows: pa.Table) -> ScoreSummary:
    statuses, levels = Counter(rows["status"].to_pylist()), level_counts(rows)
    segments = len(pc.unique(rows["segment"]))
    return ScoreSummary(
        request.job_id,
        request.release,
        rows.num_rows,
        segments,
        statuses,
        levels,
        len(request.inputs),
        repeated=True,
        as_of=_as_of_text(run, request),
        in_sample=in_sample_rows(run.context, rows),
    )
