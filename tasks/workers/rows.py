"""Predict every requested row of a regression fleet."""

from functools import partial

import pyarrow as pa

from domain.data.partitioning import run_length_encode
from models.inference.loaded_models import Champions
from models.inference.prediction_rows import row_table
from models.inference.rows import predict_rows
from tasks.workers.fallback_inputs import newest_outcomes
from tasks.workers.run_context import RunContext
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["score_rows"]


def score_rows(
    context: RunContext, request: ScoringRequest, bucket: int, champions: Champions, requests: pa.Table
) -> pa.Table:
    """Prediction rows (without the job's columns), one for each requested row."""
    rows = requests.sort_by([("segment", "ascending"), ("input_id", "ascending"), ("row", "ascending")])
    starts, lengths = run_length_encode(rows["segment"])
    segments = rows["segment"].take(pa.array(starts)).to_pylist()
    by_segment = {
        segment: rows.slice(start, length)
        for segment, start, length in zip(segments, starts.tolist(), lengths.tolist(), strict=True)
    }
    results = predict_rows(champions, by_segment, context.fleet, partial(newest_outcomes, context, bucket))
    return row_table(by_segment, results, context.fleet)
