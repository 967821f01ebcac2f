"""Read the view of one segment or fallback group from the tables of its fleet."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

import pyarrow as pa

from adapters.queries.fleet_tables import OBSERVATIONS, FleetTables
from adapters.queries.lineage import champion_of, input_views, model_views
from adapters.queries.predictions import generation, read_predictions
from adapters.queries.segment_rows import SegmentRows
from domain.config.fleet import Fleet
from domain.data.segments import parse_segment
from domain.data.tables import CHALLENGERS, LEADERBOARD, OUTCOMES, QUARANTINE, REGISTRATIONS, SEGMENTS, VERDICTS
from domain.reporting.segment_view import (
    CandidateView,
    ChampionView,
    DataView,
    ModelView,
    OutcomeView,
    PredictionView,
    RejectedView,
    SegmentView,
    VerdictView,
    explain_choice,
)

__all__ = ["explain_segment"]

_MAX_PREDICTIONS = 20
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def explain_segment(tables: FleetTables, segment: str, fleet: Fleet | None = None) -> SegmentView:
    """Read everything about one segment or fallback group.

    Parameters
    ----------
    segment : canonical key.
    fleet : its definition, for the margins in explanations.
    """
    rows = SegmentRows.of(tables, segment)
    observed = rows.read(OBSERVATIONS, ["time", "target", "input_id"]).sort_by("time")
    release = tables.release_in_force()
    challenger, champion = _challenger(rows), _champion(rows, release)
    model = champion.model if champion else challenger
    leaderboard = _leaderboard(rows)
    predictions = read_predictions(rows)
    return SegmentView(
        fleet=tables.fleet,
        segment=segment,
        values=parse_segment(segment),
        level=model.level if model else "segment",
        bucket=rows.bucket,
        release=release,
        data=_data(rows, observed),
        rejected=_rejected(rows),
        leaderboard=leaderboard,
        choice=explain_choice(leaderboard, challenger.baseline_error if challenger else math.nan, fleet),
        outcomes=_outcomes(rows),
        verdicts=_verdicts(rows),
        challenger=challenger,
        champion=champion,
        inputs=input_views(tables, observed, champion.model.cutoff if champion else None),
        predicted_rows=len(predictions),
        predictions=_current(predictions),
    )


def _data(rows: SegmentRows, observed: pa.Table) -> DataView | None:
    profiles = rows.read(SEGMENTS).to_pylist()
    if not profiles:
        return None
    names = ["rows", "excluded", "first_time", "last_time", "gaps", "mean", "std", "zero_share", "demand"]
    times, targets = tuple(observed["time"].to_pylist()), tuple(observed["target"].to_pylist())
    return DataView(**{name: profiles[0][name] for name in names}, times=times, targets=targets)


def _rejected(rows: SegmentRows) -> tuple[RejectedView, ...]:
    names = [field.name for field in fields(RejectedView)]
    table = rows.tables[QUARANTINE].read(names, rows=rows.condition)
    return tuple(
        RejectedView(**row) for row in table.sort_by([("path", "ascending"), ("row", "ascending")]).to_pylist()
    )


def _leaderboard(rows: SegmentRows) -> tuple[CandidateView, ...]:
    names = [field.name for field in fields(CandidateView)]
    return tuple(CandidateView(**row) for row in rows.read(LEADERBOARD, names).sort_by("rank").to_pylist())


def _challenger(rows: SegmentRows) -> ModelView | None:
    models = model_views(rows.tables, CHALLENGERS, rows.files(CHALLENGERS), rows.condition)
    if not models:
        return None
    model = models[0][0]
    registered = rows.read(REGISTRATIONS, ["model_version", "fingerprint"]).to_pylist()
    versions = [row["model_version"] for row in registered if row["fingerprint"] == model.fingerprint]
    return replace(model, model_version=versions[0] if versions else None)


def _champion(rows: SegmentRows, release: int) -> ChampionView | None:
    champion = champion_of(rows.tables, rows.condition, (rows.bucket,), release)
    return champion if champion and champion.release == release else None


def _outcomes(rows: SegmentRows) -> tuple[OutcomeView, ...]:
    """Read the outcomes of all training runs, newest first."""
    files = rows.files(OUTCOMES)
    ended = {file.partition["run_id"]: datetime.fromtimestamp(file.committed_ms / 1000, UTC) for file in files}
    columns = ["run_id", "outcome", "reason", "candidate"]
    outcomes = rows.tables[OUTCOMES].read_files(files, columns, rows.condition).to_pylist()
    views = [OutcomeView(**row, at=ended[row["run_id"]]) for row in outcomes]
    return tuple(sorted(views, key=lambda view: (view.at, view.run_id), reverse=True))


def _verdicts(rows: SegmentRows) -> tuple[VerdictView, ...]:
    """Read the verdicts of the newest promotion that judged the segment."""
    names = [field.name for field in fields(VerdictView)]
    table = rows.tables[VERDICTS]
    files = table.files()
    newest_first = sorted({(file.committed_ms, file.partition["run_id"]) for file in files}, reverse=True)
    for run_id in dict.fromkeys(run_id for _, run_id in newest_first):
        run_files = [file for file in files if file.partition["run_id"] == run_id]
        verdicts = table.read_files(run_files, names, rows.condition).to_pylist()
        if verdicts:
            return tuple(VerdictView(**row) for row in verdicts)
    return ()


def _current(predictions: Sequence[PredictionView]) -> tuple[PredictionView, ...]:
    """Select the newest generation, in the order of times and rows."""
    current = [row for row in predictions if generation(row) == generation(predictions[0])]
    return tuple(sorted(current, key=lambda row: (row.time or _EARLIEST, row.row or 0))[:_MAX_PREDICTIONS])
