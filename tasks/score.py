"""Score: pin a release, score every bucket, commit all predictions once."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile
from models.errors import ScoringError, StaleTableError
from models.tables import INPUTS, PREDICTIONS, landed, observations
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.promote import current_release, kept_releases
from tasks.work.score import ScoreOrder, ScoreReceipt, level_counts, score_bucket

__all__ = ["ScoreSummary", "score_fleet"]

_ATTEMPTS = 5
_FIGURES = ["segment", "status", "fallback_level"]


@dataclass(frozen=True)
class ScoreSummary:
    """One scoring job. rows : predictions that it stands for; 0 where nothing new was asked for.

    statuses : rows by status. levels : rows with a prediction by fallback level ('' = the segment's own champion).
    repeated : the same job had been committed before; its rows were not written again.
    """

    job_id: str
    release: int
    rows: int
    segments: int
    statuses: Mapping[str, int]
    levels: Mapping[str, int]
    inputs: int
    repeated: bool = False


@task(name="score fleet", cache_policy=NO_CACHE)
def score_fleet(run: Run, release: int | None = None) -> ScoreSummary:
    """Forecast the next horizon, or predict the rows of new inputs; each input exactly once.

    release : the release to score with; default the one in force at the start. Before the first release every segment
    takes the end of the chain: its last value, or no model.
    Raises ScoringError if nothing has been ingested, or the release is not kept.
    """
    if not recorded_buckets(run):
        raise ScoringError(f"fleet {run.fleet.name}: nothing to score from; ingest and partition first")
    pinned = current_release(run) if release is None else release
    kept = kept_releases(run)
    if release is not None and release not in kept:
        raise ScoringError(f"fleet {run.fleet.name}: release {release} is not kept; choose one of {kept}")
    for attempt in range(_ATTEMPTS):
        based_on = run.table(PREDICTIONS).version()
        order = _order(run, pinned)
        if run.table(PREDICTIONS).has_transaction(order.job_id, 1):
            return _repeated(run, order)
        if not order.inputs and run.fleet.task != "forecast":
            return _standing(run, order)
        receipts = run.workers.map("score", partial(score_bucket, run.job, order), range(order.buckets))
        try:
            _commit(run, order, receipts, based_on)
        except StaleTableError:
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return _summary(order, receipts)
    raise AssertionError("unreachable")


def _order(run: Run, release: int) -> ScoreOrder:
    """What the job covers. Its id follows from that, so that a retry is the same job."""
    files = run.table(landed(run.fleet, "requests")).files()
    version = run.table(observations(run.fleet)).version()
    if run.fleet.task == "forecast":
        inputs = sorted({file.partition["input_id"] for file in files})
        rule = run.fleet.score.missing_covariates if run.fleet.score else ""
        content = f"forecast:{release}:{version}:{rule}:{','.join(inputs)}"
    else:
        done = {file.partition["part"] for file in run.table(PREDICTIONS).files()}
        files = _one_place_each([file for file in files if f"input-{file.partition['input_id']}" not in done])
        inputs = sorted({file.partition["input_id"] for file in files})
        content = f"rows:{','.join(inputs)}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    return ScoreOrder(
        job_id=f"{run.fleet.name}-{digest}",
        release=release,
        buckets=recorded_buckets(run),
        requests=tuple(files),
        inputs=tuple(inputs),
        ranks=_ranks(run),
        source=f"observations@{version}",
        scored_at=datetime.now(UTC),
    )


def _ranks(run: Run) -> dict[str, int]:
    """Input id -> place among the scoring inputs, the oldest first."""
    rows = run.table(INPUTS).read(where=lambda partition: partition["role"] == "requests").to_pylist()
    ordered = sorted(rows, key=lambda row: (row["modified_at"] or row["ingested_at"], row["path"]))
    return {row["input_id"]: place for place, row in enumerate(ordered)}


def _one_place_each(files: list[StagedFile]) -> list[StagedFile]:
    """Without the files of inputs that lie in two places: the same content is one input, scored once."""
    first: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.partition["path_id"]):
        first.setdefault(file.partition["input_id"], file.partition["path_id"])
    return [file for file in files if first[file.partition["input_id"]] == file.partition["path_id"]]


def _commit(run: Run, order: ScoreOrder, receipts: list[ScoreReceipt], based_on: int) -> None:
    """All predictions of the job and what they replace, in one transaction."""
    table = run.table(PREDICTIONS)
    replaced = {path for receipt in receipts for path in receipt.replaces}
    staged = [file for receipt in receipts for file in receipt.files]
    # An input without a single valid row is scored too: nothing would tell so but an empty file.
    covered = {file.partition["part"] for file in staged}
    if run.fleet.task != "forecast":
        parts = [f"input-{input_id}" for input_id in order.inputs if f"input-{input_id}" not in covered]
        staged += [table.stage(table.spec.file_schema.empty_table(), part=part) for part in parts]

    def removes(file: StagedFile) -> bool:
        return file.path in replaced

    table.create()
    note = {"run_id": run.job.run_id, "job_id": order.job_id, "release": str(order.release)}
    checked = based_on if based_on >= 0 else None
    table.replace(staged, removes, transaction=(order.job_id, 1), based_on=checked, note=note)


def _summary(order: ScoreOrder, receipts: list[ScoreReceipt]) -> ScoreSummary:
    statuses: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    for receipt in receipts:
        statuses.update(receipt.statuses)
        levels.update(receipt.levels)
    rows = sum(receipt.rows for receipt in receipts)
    segments = sum(receipt.segments for receipt in receipts)
    return ScoreSummary(order.job_id, order.release, rows, segments, statuses, levels, len(order.inputs))


def _standing(run: Run, order: ScoreOrder) -> ScoreSummary:
    """No new input: the predictions that were committed before stand."""
    requested = {file.partition["input_id"] for file in run.table(landed(run.fleet, "requests")).files()}
    parts = {f"input-{input_id}" for input_id in requested}
    rows = run.table(PREDICTIONS).read(_FIGURES, lambda partition: partition["part"] in parts)
    return _figures(order, rows)


def _repeated(run: Run, order: ScoreOrder) -> ScoreSummary:
    return _figures(order, run.table(PREDICTIONS).read(_FIGURES, rows=pc.field("job_id") == order.job_id))


def _figures(order: ScoreOrder, rows: pa.Table) -> ScoreSummary:
    statuses, levels = Counter(rows["status"].to_pylist()), level_counts(rows)
    segments = len(pc.unique(rows["segment"]))
    return ScoreSummary(
        order.job_id, order.release, rows.num_rows, segments, statuses, levels, len(order.inputs), repeated=True
    )
