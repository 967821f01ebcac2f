"""Read the predictions of one segment, and trace one of them back to its model and files."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime

from adapters.queries.fleet_tables import FleetTables
from adapters.queries.lineage import trace
from adapters.queries.segment_rows import SegmentRows
from domain.data.parts import bucket_part, is_bucket_part
from domain.data.tables import PREDICTIONS
from domain.errors import UnknownNameError
from domain.reporting.segment_view import PredictionLineage, PredictionView

__all__ = ["explain_prediction", "generation", "read_predictions"]

_COLUMNS = [field.name for field in fields(PredictionView)]
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_DATE_LENGTH = len("2024-05-31")


def read_predictions(rows: SegmentRows) -> list[PredictionView]:
    """Read the predictions of a segment, newest generation first; backfills (`as_of`) come last."""
    own = bucket_part(rows.bucket)
    table = rows.tables[PREDICTIONS].read(
        _COLUMNS, lambda partition: partition["part"] == own or not is_bucket_part(partition["part"]), rows.condition
    )
    return sorted((PredictionView(**row) for row in table.to_pylist()), key=generation, reverse=True)


def generation(row: PredictionView) -> tuple[bool, datetime, int, datetime]:
    """Sort key of the job behind a prediction: current before backfilled, then origin, release and time of scoring."""
    return (row.as_of is None, row.origin or _EARLIEST, row.release, row.scored_at)


def explain_prediction(tables: FleetTables, segment: str, time: str | None, row: int | None) -> PredictionLineage:
    """Trace the newest prediction of a segment for a time, or for a row of scoring input.

    Parameters
    ----------
    segment : canonical key.
    time : ISO 8601 time, or a date, which stands for the whole day unless there is a prediction for its midnight.
    row : row number in a scoring file.

    Raises
    ------
    UnknownNameError
        There is no such prediction; the message gives the range of those that exist.
    """
    rows = SegmentRows.of(tables, segment)
    predictions = read_predictions(rows)
    matches = predictions if row is None else [prediction for prediction in predictions if prediction.row == row]
    matches = matches if time is None else _at_time(matches, time)
    if not matches:
        selection = " and ".join([f"time {time}"] * (time is not None) + [f"row {row}"] * (row is not None))
        raise UnknownNameError(
            f"fleet {tables.fleet}: segment {segment!r} has no prediction for {selection}; {_range(predictions)}"
        )
    return trace(rows, matches[0], matches[1:])


def _range(predictions: Sequence[PredictionView]) -> str:
    """Describe which predictions exist."""
    if not predictions:
        return "it has none at all"
    times: list[str] = sorted(f"{item.time:%Y-%m-%d %H:%M}" for item in predictions if item.time is not None)
    rows: list[int] = sorted(item.row for item in predictions if item.row is not None)
    ranges = [f"of {name} {values[0]} to {values[-1]}" for name, values in (("times", times), ("rows", rows)) if values]
    return f"there are {len(predictions):,}, {' and '.join(ranges)}"


def _at_time(predictions: Sequence[PredictionView], text: str) -> list[PredictionView]:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnknownNameError(f"time {text!r}: not a time; give one such as 2024-05-31 or 2024-05-31T14:00") from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    exact = [item for item in predictions if item.time == time]
    if exact or len(text) > _DATE_LENGTH:
        return exact
    return [item for item in predictions if item.time is not None and item.time.date() == time.date()]
