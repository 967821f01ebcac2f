"""Forecast the next periods of every segment of a bucket."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.calendar.ordinals import ordinals
from domain.calendar.periods_ahead import find_period_pattern
from domain.calendar.time_spans import period_of
from domain.calendar.zones import season_zone
from domain.data.partitioning import run_length_encode
from domain.data.tables import observations
from models.inference.covariates import FutureCovariates
from models.inference.forecast import FallbackInputs, ForecastInputs, Times
from models.inference.history import History
from models.inference.loaded_models import Champions
from models.inference.predict import predict
from models.inference.prediction_rows import forecast_table
from tasks.workers.fallback_inputs import level_history, newest_outcomes
from tasks.workers.run_context import RunContext, in_bucket
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["score_forecast"]


def score_forecast(
    context: RunContext, request: ScoringRequest, bucket: int, champions: Champions, requests: pa.Table
) -> pa.Table:
    """Prediction rows (without the job's columns) of all segments that have observations or future covariates.

    Every segment gets rows with a status: of its own champion if that can be run, else of the fallback chain.
    """
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    times = _requested_times(context, request, requests)
    inputs = _inputs(context, request, bucket, rows, requests, times)
    missing = partial(_missing_times, context, inputs.history, times)
    return forecast_table(predict(champions, inputs, context.fleet), inputs.covariates, missing, context.fleet)


def _inputs(
    context: RunContext,
    request: ScoringRequest,
    bucket: int,
    rows: pa.Table,
    requests: pa.Table,
    times: Mapping[str, Times],
) -> ForecastInputs:
    """rows : observations of the bucket. times : periods that scoring input requests, by segment."""
    clock, moment = context.fleet.clock, request.point_in_time
    history = History(moment.known(rows), clock)
    requests = requests if moment.as_of is None else moment.later(requests)
    covariates = FutureCovariates(_covariate_rows(context, moment.later(rows), requests), clock, request.source)
    segments = [*history.segments, *sorted(set(times) - set(history.segments))]

    def fallback() -> FallbackInputs:
        return FallbackInputs(level_history(context, request), newest_outcomes(context, bucket))

    return ForecastInputs(history, covariates, moment, segments, fallback)


def _covariate_rows(context: RunContext, later: pa.Table, requests: pa.Table) -> pa.Table:
    """Scoring input, and the observations after a past moment: these count where no input has the period."""
    if not later.num_rows or not (context.fleet.features.numeric or context.fleet.features.categorical):
        return requests
    n = later.num_rows
    later = later.append_column("rank", pa.array([-1] * n, pa.int64())).append_column("path", pa.array([""] * n))
    common = [name for name in requests.column_names if name in later.column_names]
    return pa.concat_tables([later.select(common), requests.select(common)])


def _requested_times(context: RunContext, request: ScoringRequest, requests: pa.Table) -> dict[str, Times]:
    """Periods that scoring input requests, by segment; as of a past moment, those within the horizon."""
    if request.as_of is not None:
        clock = context.fleet.clock
        last = period_of(request.as_of, clock) + context.fleet.steps
        requests = request.point_in_time.later(requests)
        requests = requests.filter(pa.array(ordinals(requests["time"].to_numpy(), clock) <= last))
    ordered = requests.select(["segment", "time"]).sort_by([("segment", "ascending"), ("time", "ascending")])
    times = ordered["time"].to_numpy().astype("datetime64[us]")
    starts, lengths = run_length_encode(ordered["segment"])
    segments = ordered["segment"].take(pa.array(starts)).to_pylist()
    return {
        segment: np.unique(times[start : start + length])
        for segment, start, length in zip(segments, starts.tolist(), lengths.tolist(), strict=True)
    }


def _missing_times(context: RunContext, history: History, times: Mapping[str, Times], segment: str) -> Times:
    """Periods that a segment without a forecast gets rows for: those requested, else the horizon."""
    if segment in times:
        return times[segment]
    own = history.rows.filter(pc.equal(history.rows["segment"], segment))["time"].to_numpy()
    dates, clock = np.sort(own.astype("datetime64[us]")), context.fleet.clock
    pattern = find_period_pattern(dates, np.array([0]), np.array([len(dates)]), clock, season_zone(clock))
    return pattern.ahead(dates[-1:], context.fleet.steps)[0].times
