"""Read the status of a fleet from Delta logs and a few columns, never from the models."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from adapters.lake.lease import at_work
from adapters.lake.report_files import read_times
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake
from adapters.queries.fleet_tables import LANDED, OBSERVATIONS, REQUESTS, FleetTables, newest_commit, newest_run
from adapters.sources.fleet_files import file_of
from domain.data.parts import is_bucket_part
from domain.data.tables import (
    CHALLENGERS,
    CHAMPIONS,
    INPUTS,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    SEGMENTS,
    VERDICTS,
    TableSpec,
)
from domain.reporting.fleet_status import (
    FleetStatus,
    InputsView,
    PredictionsView,
    QuarantineCount,
    ReleaseView,
    RunView,
    SegmentLine,
    next_steps,
)
from models.promotion.gates import DELIBERATE

__all__ = ["held_segments", "read_fleets", "read_segments", "read_status"]

_MAX_RUNS = 5


def read_status(tables: FleetTables, reports: Path, file: str, awaited: str = "") -> FleetStatus:
    """Read the status of one fleet, with the next steps.

    Parameters
    ----------
    reports : folder of the reports, from which the durations of stages come.
    file : fleet file, or its name, in suggested commands.
    awaited : that there are no rows to score yet, and the way out.
    """
    release = _release(tables)
    runs = _runs(tables, reports / tables.fleet)
    observations = tables[OBSERVATIONS].files()
    status = FleetStatus(
        fleet=tables.fleet,
        lake=tables.lake.uri,
        segments=sum(file.rows for file in tables[SEGMENTS].files()),
        rows=sum(file.rows for file in observations),
        release=release,
        runs=runs,
        predictions=_predictions(tables),
        quarantine=_quarantine(tables),
        inputs=_inputs(tables),
        held=len(held_segments(tables, DELIBERATE)),
        at_work=at_work(tables.lake, tables.fleet),
        stale=tuple(_stale(tables, observations, release)),
    )
    return replace(status, next=next_steps(status, file, awaited))


def read_fleets(lake: Lake, reports: Path, home: Path) -> list[FleetStatus]:
    """Read the status of every fleet in a lake. home : folder that may contain their fleet files."""
    return [read_status(FleetTables(lake, fleet), reports, file_of(fleet, home)) for fleet in lake.fleets()]


def _release(tables: FleetTables) -> ReleaseView | None:
    files = tables[CHAMPIONS].files()
    kept = sorted({int(file.partition["release"]) for file in files})
    if not kept:
        return None
    columns = ["segment", "level", "candidate", "kind", "source", "promoted_at"]
    in_force = [file for file in files if file.partition["release"] == str(kept[-1])]
    rows = tables[CHAMPIONS].read_files(in_force, columns).to_pylist()
    made_at = max((row["promoted_at"] for row in rows), default=datetime.min.replace(tzinfo=UTC))
    new_rows = [row for row in rows if row["promoted_at"] == made_at]
    own = [row for row in rows if row["level"] == "segment"]
    return ReleaseView(
        number=kept[-1],
        made_at=made_at,
        kind=new_rows[0]["kind"] if new_rows else "",
        source=new_rows[0]["source"] if new_rows else "",
        changed=len(new_rows),
        champions=len(own),
        levels=len(rows) - len(own),
        pinned=tuple(sorted(row["segment"] for row in rows if row["kind"] == "pin")),
        candidates=dict(Counter(row["candidate"] for row in own).most_common()),
        kept=tuple(kept),
    )


def _runs(tables: FleetTables, reports: Path) -> tuple[RunView, ...]:
    """Read the newest training runs, newest first."""
    finished: dict[str, int] = {}
    files = tables[OUTCOMES].files()
    for file in files:
        run_id = file.partition["run_id"]
        finished[run_id] = max(finished.get(run_id, 0), file.committed_ms)
    order = sorted(finished, key=lambda run_id: (finished[run_id], run_id), reverse=True)[:_MAX_RUNS]
    rows = tables[OUTCOMES].read_files([file for file in files if file.partition["run_id"] in order], _OUTCOME)
    counts = rows.group_by(_OUTCOME).aggregate([([], "count_all")]).to_pylist()
    views = []
    for run_id in order:
        outcomes = {row["outcome"]: row["count_all"] for row in counts if row["run_id"] == run_id}
        stages, ratios = read_times(reports / f"{run_id}.json")
        seconds = sum(stages.values()) if stages else None
        finished_at = datetime.fromtimestamp(finished[run_id] / 1000, UTC)
        views.append(RunView(run_id, finished_at, dict(sorted(outcomes.items())), seconds, stages, ratios))
    return tuple(views)


_OUTCOME = ["run_id", "outcome"]


def _predictions(tables: FleetTables) -> PredictionsView | None:
    keys = ["job_id", "scored_at", "release", "status", "fallback_level", "as_of"]
    rows = tables[PREDICTIONS].read([*keys, "origin"])
    if not rows.num_rows:
        return None
    figures = [([], "count_all"), ("origin", "min"), ("origin", "max")]
    groups = rows.group_by(keys).aggregate(figures).to_pylist()
    # Backfills (as_of) are not current predictions.
    last = max(groups, key=lambda group: (group["as_of"] is None, group["scored_at"], group["job_id"]))
    job = [group for group in groups if group["job_id"] == last["job_id"]]
    statuses: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    for group in job:
        statuses[group["status"]] += group["count_all"]
        if group["fallback_level"] is not None:
            levels[group["fallback_level"]] += group["count_all"]
    return PredictionsView(
        rows=rows.num_rows,
        job_id=last["job_id"],
        job_rows=statuses.total(),
        scored_at=last["scored_at"],
        release=last["release"],
        first_origin=min((group["origin_min"] for group in job if group["origin_min"]), default=None),
        last_origin=max((group["origin_max"] for group in job if group["origin_max"]), default=None),
        statuses=dict(statuses),
        levels=dict(levels),
    )


def _quarantine(tables: FleetTables) -> tuple[QuarantineCount, ...]:
    keys = ["stage", "reason"]
    groups = tables[QUARANTINE].read(keys).group_by(keys).aggregate([([], "count_all")]).to_pylist()
    order = sorted(groups, key=lambda group: (-group["count_all"], group["stage"], group["reason"]))
    return tuple(QuarantineCount(group["stage"], group["reason"], group["count_all"]) for group in order)


def _inputs(tables: FleetTables) -> tuple[InputsView, ...]:
    columns = ["role", "path", "bytes", "rows_read", "rows_accepted", "error", "ingested_at"]
    by_role: dict[str, list[dict[str, Any]]] = {}
    for row in tables[INPUTS].read(columns).to_pylist():
        by_role.setdefault(row["role"], []).append(row)
    views = []
    for role, rows in sorted(by_role.items()):
        last = max(rows, key=lambda row: (row["ingested_at"], row["path"]))
        views.append(
            InputsView(
                role=role,
                files=len(rows),
                size_bytes=sum(row["bytes"] for row in rows),
                rows_read=sum(row["rows_read"] for row in rows),
                rows_accepted=sum(row["rows_accepted"] for row in rows),
                newest=last["path"],
                ingested_at=last["ingested_at"],
                errors=tuple(sorted((row["path"], row["error"]) for row in rows if row["error"])),
            )
        )
    return tuple(views)


def held_segments(tables: FleetTables, ignored: Sequence[str] = ()) -> dict[str, str]:
    """Return the segments whose challenger the newest promotion held, with the decisive gates that it failed.

    ignored : gates that do not count.
    """
    files = tables[VERDICTS].files()
    run_id = newest_run(files)
    of_run = [file for file in files if file.partition["run_id"] == run_id]
    rows = tables[VERDICTS].read_files(of_run, ["segment", "gate", "passed", "decisive", "reason"])
    failed = rows.filter(pc.and_(rows["decisive"], pc.invert(rows["passed"])))
    held: dict[str, str] = {}
    for row in (row for row in failed.to_pylist() if row["gate"] not in ignored):
        verdict = f"{row['gate']}: {row['reason']}"
        held[row["segment"]] = f"{held[row['segment']]}; {verdict}" if row["segment"] in held else verdict
    return held


def _stale(tables: FleetTables, observations: Sequence[StagedFile], release: ReleaseView | None) -> Iterable[str]:
    """Name the tables that are older than those they derive from."""
    challengers, predictions = tables[CHALLENGERS].files(), tables[PREDICTIONS].files()
    partitioned, trained, scored = newest_commit(observations), newest_commit(challengers), newest_commit(predictions)
    if newest_commit(tables[LANDED].files()) > partitioned:
        yield "observations"
    if partitioned > trained:
        yield "challengers"
    if trained > newest_commit(tables[VERDICTS].files()) and _models(tables, challengers, CHALLENGERS) - _champions(
        tables, release
    ):
        yield "verdicts"
    forecasts = any(is_bucket_part(file.partition["part"]) for file in predictions)
    if predictions and scored < max(partitioned if forecasts else 0, newest_commit(tables[REQUESTS].files())):
        yield "predictions"


def _champions(tables: FleetTables, release: ReleaseView | None) -> set[tuple[str, str]]:
    if release is None:
        return set()
    files = tables[CHAMPIONS].files(lambda partition: partition["release"] == str(release.number))
    return _models(tables, files, CHAMPIONS)


def _models(tables: FleetTables, files: Sequence[StagedFile], spec: TableSpec) -> set[tuple[str, str]]:
    rows = tables[spec].read_files(files, ["segment", "fingerprint"])
    return set(zip(rows["segment"].to_pylist(), rows["fingerprint"].to_pylist(), strict=True))


def read_segments(tables: FleetTables, outcome: str | None = None, *, held: bool = False) -> list[SegmentLine]:
    """List the segments of the newest training by name. outcome, held : only those with it, or held by a gate."""
    files = tables[OUTCOMES].files()
    run_id = newest_run(files)
    of_run = [file for file in files if file.partition["run_id"] == run_id]
    outcomes = tables[OUTCOMES].read_files(of_run, ["segment", "outcome", "candidate", "reason"]).to_pylist()
    by_gate = held_segments(tables)
    lines = (SegmentLine(**row, held=by_gate.get(row["segment"], "")) for row in outcomes)
    matches = (line for line in lines if outcome in (None, line.outcome) and (line.held or not held))
    return sorted(matches, key=lambda line: line.segment)
