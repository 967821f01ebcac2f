"""The scope of a scoring job, and the weight of its buckets."""

import hashlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from domain.data.input_order import input_places, natural_key
from domain.data.parts import input_part, query_place
from domain.data.tables import INPUTS, PREDICTIONS, SEGMENTS, landed, observations
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.workers.bucket_reader import spans
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["scoring_request", "scoring_weight"]


def scoring_request(run: Run, release: int, as_of: datetime | None) -> ScoringRequest:
    """Return the scope of the job. Its id is a hash of the scope, so that a retry is the same job."""
    files = run.table(landed(run.fleet, "requests")).files()
    version = run.table(observations(run.fleet)).version()
    if run.fleet.task_type.periodic:
        inputs = sorted({file.partition["input_id"] for file in files})
        rule = run.fleet.score.missing_covariates if run.fleet.score else ""
        content = f"forecast:{release}:{version}:{rule}:{','.join(inputs)}"
        content += f":as_of={as_of.isoformat()}" if as_of else ""
    else:
        done = {file.partition["part"] for file in run.table(PREDICTIONS).files()}
        files = _one_place_each([file for file in files if input_part(file.partition["input_id"]) not in done])
        inputs = sorted({file.partition["input_id"] for file in files})
        content = f"rows:{','.join(inputs)}"
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    return ScoringRequest(
        job_id=f"{run.fleet.name}-{digest}",
        release=release,
        buckets=recorded_buckets(run),
        requests=tuple(files),
        inputs=tuple(inputs),
        ranks=_ranks(run),
        source=f"observations@{version}",
        scored_at=datetime.now(UTC),
        as_of=as_of,
        newest=pc.max(run.table(SEGMENTS).read(["last_time"])["last_time"]).as_py(),
    )


def scoring_weight(run: Run, request: ScoringRequest) -> Callable[[int], int]:
    """Return a function that weighs a bucket by its observations.

    If the input is too large to be read at once, buckets whose input is read together share one weight: that keeps them
    next to each other, so that the input is not read again for each of them.
    """
    rows: Counter[int] = Counter()
    for file in run.table(observations(run.fleet)).files():
        rows[int(file.partition["bucket"])] += file.rows
    together = spans(sum(file.rows for file in request.requests), request.buckets)
    if len(together) == 1:
        return lambda bucket: rows[bucket]
    weights = {bucket: sum(rows[number] for number in span) for span in together for bucket in span}
    return weights.__getitem__


def _ranks(run: Run) -> dict[str, int]:
    """Return the rank of each scoring input by its id, the oldest first."""
    rows = run.table(INPUTS).read(where=lambda partition: partition["role"] == "requests").to_pylist()
    ordered = sorted(rows, key=lambda row: (row["modified_at"] or row["ingested_at"], natural_key(row["path"])))
    # A slice that is read again is no newer than those after it.
    slices = [row for row in ordered if query_place(row["input_id"])]
    places = input_places([row["path"] for row in slices])
    in_order = iter(sorted(range(len(slices)), key=places.__getitem__))
    ordered = [slices[next(in_order)] if query_place(row["input_id"]) else row for row in ordered]
    return {row["input_id"]: place for place, row in enumerate(ordered)}


def _one_place_each(files: list[StagedFile]) -> list[StagedFile]:
    """Keep one path per input: the same content in two places is one input, scored once."""
    first: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.partition["path_id"]):
        first.setdefault(file.partition["input_id"], file.partition["path_id"])
    return [file for file in files if first[file.partition["input_id"]] == file.partition["path_id"]]
