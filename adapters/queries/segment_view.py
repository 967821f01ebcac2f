"""Reads everything that the lake knows of one segment, and where one of its predictions comes from."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from adapters.queries.fleet_status import OBSERVATIONS, FleetTables
from adapters.queries.lineage import champion_of, input_views, model_views, trace
from domain.config.fleet import Fleet
from domain.data.parts import bucket_part, is_bucket_part
from domain.data.segment_search import find_segment, suggest_closest
from domain.data.segments import FALLBACK_BUCKET, GLOBAL_KEY, bucket_of, hash_segments, parse_segment
from domain.data.tables import (
    CHALLENGERS,
    CHAMPIONS,
    LEADERBOARD,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    REGISTRATIONS,
    SEGMENTS,
    VERDICTS,
    TableSpec,
)
from domain.errors import UnknownNameError
from domain.reporting.segment_view import (
    CandidateView,
    DataView,
    ModelView,
    OutcomeView,
    PredictionLineage,
    PredictionView,
    RejectedView,
    SegmentView,
    VerdictView,
    explain_choice,
)

__all__ = ["explain_prediction", "explain_segment", "resolve_segment"]

_REJECTED, _PREDICTED = 20, 20
_PREDICTION = [field.name for field in fields(PredictionView)]
_BEGIN = datetime.min.replace(tzinfo=UTC)


def resolve_segment(tables: FleetTables, asked: Sequence[str], reference: str) -> str:
    """The canonical key of a segment, or of a fallback level, that a person named.

    Raises UnknownNameError with the closest names.
    """
    keys = tables.segments()
    found = find_segment(asked, keys)
    if found is None:
        more = _other_keys(tables)
        found = find_segment(asked, more)
        keys = [*keys, *more]
    if not keys:
        raise UnknownNameError(f"fleet {tables.fleet}: {tables.lake.uri} has no segments yet: myriad run {reference}")
    if found is None:
        text = " ".join(asked)
        raise UnknownNameError(
            f"fleet {tables.fleet}: no segment {text!r}{suggest_closest(text, keys)}; "
            f"list them: myriad status {reference} --segments"
        )
    return found


def _other_keys(tables: FleetTables) -> list[str]:
    """Keys of fallback levels, and of segments that have no observation: unseen, vanished, or all rejected."""
    found: set[str] = set()
    for spec in (CHALLENGERS, CHAMPIONS, PREDICTIONS, QUARANTINE, OUTCOMES):
        found.update(pc.unique(tables[spec].read(["segment"])["segment"]).to_pylist())
    return sorted(key for key in found if key is not None)


def explain_segment(tables: FleetTables, segment: str, fleet: Fleet | None = None) -> SegmentView:
    """segment : canonical key of a segment or a level. fleet : its file, for margins in words."""
    bucket, wanted = _bucket(tables, segment), pc.field("segment") == segment
    observed = _observed(tables, bucket, wanted)
    challenger = _challenger(tables, bucket, wanted)
    release = max((int(file.partition["release"]) for file in tables[CHAMPIONS].files()), default=0)
    champion = champion_of(tables, wanted, (bucket,), release)
    if champion is not None and champion.release != release:
        champion = None
    model = champion.model if champion else challenger
    ranks = _ranks(tables, bucket, wanted)
    predictions = _predictions(tables, bucket, wanted)
    current = [row for row in predictions if _age(row) == _age(predictions[0])]
    return SegmentView(
        fleet=tables.fleet,
        segment=segment,
        values=parse_segment(segment),
        level=model.level if model else "segment",
        bucket=bucket,
        release=release,
        data=_data(tables, bucket, wanted, observed),
        rejected=_rejected(tables, wanted),
        leaderboard=ranks,
        choice=explain_choice(ranks, challenger.baseline_error if challenger else math.nan, fleet),
        outcomes=_outcomes(tables, bucket, wanted),
        verdicts=_verdicts(tables, wanted),
        challenger=challenger,
        champion=champion,
        inputs=input_views(tables, observed, champion.model.cutoff if champion else None),
        predicted_rows=len(predictions),
        predictions=tuple(sorted(current, key=_order)[:_PREDICTED]),
    )


def explain_prediction(tables: FleetTables, segment: str, time: str | None, row: int | None) -> PredictionLineage:
    """The newest prediction of a segment for a time (ISO 8601, or a date), or for a row of scoring input.

    Raises UnknownNameError where there is none, with those that there are.
    """
    bucket = _bucket(tables, segment)
    predictions = _predictions(tables, bucket, pc.field("segment") == segment)
    found = predictions if row is None else [each for each in predictions if each.row == row]
    found = found if time is None else _at(found, time)
    if not found:
        asked = " and ".join([f"time {time}"] * (time is not None) + [f"row {row}"] * (row is not None))
        raise UnknownNameError(
            f"fleet {tables.fleet}: segment {segment!r} has no prediction for {asked}; {_known(predictions)}"
        )
    return trace(tables, found[0], found[1:], bucket)


def _known(predictions: Sequence[PredictionView]) -> str:
    """Which predictions there are, for a message."""
    if not predictions:
        return "it has none at all"
    times = sorted(f"{each.time:%Y-%m-%d %H:%M}" for each in predictions if each.time is not None)
    rows: list[int] = sorted(each.row for each in predictions if each.row is not None)
    spans = [f"{name} {known[0]} to {known[-1]}" for name, known in (("of times", times), ("of rows", rows)) if known]
    return f"there are {len(predictions):,}, {' and '.join(spans)}"


def _at(predictions: Sequence[PredictionView], text: str) -> list[PredictionView]:
    """Predictions for a moment; a date alone that is no such moment stands for its whole day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UnknownNameError(f"time {text!r}: not a time; give one such as 2024-05-31 or 2024-05-31T14:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    exact = [each for each in predictions if each.time == moment]
    if exact or len(text) > len("2024-05-31"):
        return exact
    return [each for each in predictions if each.time is not None and each.time.date() == moment.date()]


def _bucket(tables: FleetTables, segment: str) -> int:
    """Where the tables keep a segment; levels have a bucket of their own."""
    buckets = int(tables[OBSERVATIONS].properties().get("myriad.buckets", 1))
    own = int(bucket_of(hash_segments([segment]), buckets)[0])
    if segment == GLOBAL_KEY:
        return FALLBACK_BUCKET
    of_level = [
        _of_bucket(tables, spec, FALLBACK_BUCKET, pc.field("segment") == segment, ["segment"]) for spec in _TRAINED
    ]
    if any(rows.num_rows for rows in of_level):
        # A level may be called like a segment, where a fleet has but one segment column.
        profile = _of_bucket(tables, SEGMENTS, own, pc.field("segment") == segment, ["segment"])
        return own if profile.num_rows else FALLBACK_BUCKET
    return own


_TRAINED = (CHALLENGERS, CHAMPIONS)


def _of_bucket(
    tables: FleetTables, spec: TableSpec, bucket: int, wanted: ds.Expression, columns: Sequence[str] | None = None
) -> pa.Table:
    return tables[spec].read(columns, lambda partition: partition["bucket"] == str(bucket), wanted)


def _observed(tables: FleetTables, bucket: int, wanted: ds.Expression) -> pa.Table:
    columns = ["time", "target", "input_id"]
    return _of_bucket(tables, OBSERVATIONS, bucket, wanted, columns).sort_by("time")


def _data(tables: FleetTables, bucket: int, wanted: ds.Expression, observed: pa.Table) -> DataView | None:
    profile = _of_bucket(tables, SEGMENTS, bucket, wanted).to_pylist()
    if not profile:
        return None
    names = ["rows", "excluded", "first_time", "last_time", "gaps", "mean", "std", "zero_share", "demand"]
    times, targets = tuple(observed["time"].to_pylist()), tuple(observed["target"].to_pylist())
    return DataView(**{name: profile[0][name] for name in names}, times=times, targets=targets)


def _rejected(tables: FleetTables, wanted: ds.Expression) -> tuple[RejectedView, ...]:
    names = [field.name for field in fields(RejectedView)]
    rows = tables[QUARANTINE].read(names, rows=wanted).sort_by([("path", "ascending"), ("row", "ascending")])
    return tuple(RejectedView(**row) for row in rows.to_pylist())


def _ranks(tables: FleetTables, bucket: int, wanted: ds.Expression) -> tuple[CandidateView, ...]:
    names = [field.name for field in fields(CandidateView)]
    rows = _of_bucket(tables, LEADERBOARD, bucket, wanted, names)
    return tuple(CandidateView(**row) for row in rows.sort_by("rank").to_pylist())


def _challenger(tables: FleetTables, bucket: int, wanted: ds.Expression) -> ModelView | None:
    files = tables[CHALLENGERS].files(lambda partition: partition["bucket"] == str(bucket))
    found = model_views(tables, CHALLENGERS, files, wanted)
    if not found:
        return None
    model = found[0][0]
    columns = ["model_version", "fingerprint"]
    registered = _of_bucket(tables, REGISTRATIONS, bucket, wanted, columns).to_pylist()
    versions = [row["model_version"] for row in registered if row["fingerprint"] == model.fingerprint]
    return replace(model, model_version=versions[0] if versions else None)


def _outcomes(tables: FleetTables, bucket: int, wanted: ds.Expression) -> tuple[OutcomeView, ...]:
    """Newest first."""
    files = tables[OUTCOMES].files(lambda partition: partition["bucket"] == str(bucket))
    moments = {file.partition["run_id"]: datetime.fromtimestamp(file.committed_ms / 1000, UTC) for file in files}
    rows = tables[OUTCOMES].read_files(files, ["run_id", "outcome", "reason", "candidate"], wanted).to_pylist()
    views = [OutcomeView(**row, at=moments[row["run_id"]]) for row in rows]
    return tuple(sorted(views, key=lambda view: (view.at, view.run_id), reverse=True))


def _verdicts(tables: FleetTables, wanted: ds.Expression) -> tuple[VerdictView, ...]:
    """Of the newest promotion that judged the segment."""
    names = [field.name for field in fields(VerdictView)]
    files = tables[VERDICTS].files()
    newest_first = sorted({(file.committed_ms, file.partition["run_id"]) for file in files}, reverse=True)
    for run_id in dict.fromkeys(run_id for _, run_id in newest_first):
        of_run = [file for file in files if file.partition["run_id"] == run_id]
        rows = tables[VERDICTS].read_files(of_run, names, wanted).to_pylist()
        if rows:
            return tuple(VerdictView(**row) for row in rows)
    return ()


def _predictions(tables: FleetTables, bucket: int, wanted: ds.Expression) -> list[PredictionView]:
    """Forecasts of the past last; else the newest first: by origin, then release, then job."""
    own = bucket_part(bucket)
    rows = tables[PREDICTIONS].read(
        _PREDICTION, lambda partition: partition["part"] == own or not is_bucket_part(partition["part"]), wanted
    )
    return sorted((PredictionView(**row) for row in rows.to_pylist()), key=_age, reverse=True)


def _age(row: PredictionView) -> tuple[bool, datetime, int, datetime]:
    return (row.as_of is None, row.origin or _BEGIN, row.release, row.scored_at)


def _order(row: PredictionView) -> tuple[datetime, int]:
    return (row.time or _BEGIN, row.row or 0)
