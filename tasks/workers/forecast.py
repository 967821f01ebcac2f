"""Forecast the next periods of every segment of a bucket."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.data.calendar import future_times, ordinals
from domain.data.model_record import Champion
from domain.data.partitioning import run_length_encode
from domain.data.periods import period_of
from domain.data.tables import observations
from models.features.feature_spec import FeatureSpec
from models.features.series import build_series, future_covariates, lacking_columns
from tasks.workers.covariates import future_of, periods_ahead
from tasks.workers.fallback import FallbackChain
from tasks.workers.prediction_rows import ForecastRows, Times, model_lineage, notes
from tasks.workers.run_context import RunContext, in_bucket
from tasks.workers.run_models import forecast_each
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["score_forecast"]


@dataclass(frozen=True)
class _Known:
    """What the job knows of a bucket.

    rows : observations. covariates : rows with covariates of later periods. asked : segment -> periods that scoring
    input asks for.
    """

    rows: pa.Table
    covariates: pa.Table
    asked: Mapping[str, Times]


def score_forecast(
    context: RunContext,
    request: ScoringRequest,
    bucket: int,
    champions: Mapping[str, Champion],
    level_models: Mapping[str, Champion],
    requests: pa.Table,
) -> pa.Table:
    """Prediction rows (without the job's columns) of all segments that have observations or future covariates.

    Every segment gets rows with a status: of its own champion if that can be run, else of the fallback chain.
    """
    known = _known(context, request, bucket, requests)
    seen = pc.unique(known.rows["segment"]).to_pylist()
    segments = [*seen, *sorted(set(known.asked) - set(seen))]
    output = ForecastRows()
    failed = _score_own(context, request, known, {key: champions[key] for key in seen if key in champions}, output)
    rest = {segment: failed.get(segment, "") for segment in segments if segment in failed or segment not in champions}
    rest |= {segment: "" for segment in segments if segment not in seen}
    if rest:
        chain = FallbackChain(context, request, bucket, known.rows, known.covariates, known.asked, level_models)
        chain.score(rest, output)
    return output.table()


def _known(context: RunContext, request: ScoringRequest, bucket: int, requests: pa.Table) -> _Known:
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    asked = requests
    if request.as_of is not None:
        requests = request.later(requests)
        frequency = context.fleet.clock.frequency
        last = period_of(request.as_of, frequency) + context.fleet.steps
        asked = requests.filter(pa.array(ordinals(requests["time"].to_numpy(), frequency) <= last))
    return _Known(request.known(rows), _covariates(context, request.later(rows), requests), _asked(asked))


def _covariates(context: RunContext, later: pa.Table, requests: pa.Table) -> pa.Table:
    """Scoring input, and the observations after a past moment: theirs count where no input has the period."""
    if not later.num_rows or not (context.fleet.features.numeric or context.fleet.features.categorical):
        return requests
    n = later.num_rows
    later = later.append_column("rank", pa.array([-1] * n, pa.int64())).append_column("path", pa.array([""] * n))
    common = [name for name in requests.column_names if name in later.column_names]
    return pa.concat_tables([later.select(common), requests.select(common)])


def _asked(requests: pa.Table) -> dict[str, Times]:
    ordered = requests.select(["segment", "time"]).sort_by([("segment", "ascending"), ("time", "ascending")])
    times = ordered["time"].to_numpy().astype("datetime64[us]")
    starts, lengths = run_length_encode(ordered["segment"])
    segments = ordered["segment"].take(pa.array(starts)).to_pylist()
    return {
        segment: np.unique(times[start : start + length])
        for segment, start, length in zip(segments, starts.tolist(), lengths.tolist(), strict=True)
    }


def _score_own(
    context: RunContext, request: ScoringRequest, known: _Known, champions: Mapping[str, Champion], output: ForecastRows
) -> dict[str, str]:
    """Forecasts of the champions; returns the segments whose champion gave none, and why."""
    # Champions of one release may come from trainings with other settings: each contract has columns of its own.
    by_contract: dict[str, list[str]] = {}
    for segment, champion in champions.items():
        by_contract.setdefault(champion.contract, []).append(segment)
    failed: dict[str, str] = {}
    for text, segments in by_contract.items():
        contract = FeatureSpec.from_json(text)
        if lacking := lacking_columns(known.rows, contract):
            why = f"its champion needs {', '.join(lacking)}, which the fleet file no longer has"
            failed |= dict.fromkeys(segments, why)
            continue
        failed |= dict.fromkeys(segments, "every row of its own is excluded")
        part = known.rows.filter(pc.is_in(known.rows["segment"], pa.array(segments, pa.string())))
        for segment, why in _score_contract(context, request, known, part, contract, champions, output).items():
            if why:
                failed[segment] = why
            else:
                del failed[segment]
    return failed


def _score_contract(
    context: RunContext,
    request: ScoringRequest,
    known: _Known,
    rows: pa.Table,
    contract: FeatureSpec,
    champions: Mapping[str, Champion],
    output: ForecastRows,
) -> dict[str, str]:
    """Segment -> why its champion gave no forecast; empty where it did."""
    clock, horizon, results = context.fleet.clock, contract.horizon, {}
    series = build_series(rows, contract, clock)
    future = future_of(known.covariates, contract, clock, request.source)
    covariates, carried = future_covariates(series, horizon, future.rows)
    times = future_times(series.last_times, horizon, clock.frequency)
    models = [champions[segment] for segment in series.segments]
    for index, scores in enumerate(forecast_each(series, models, covariates)):
        segment = series.segments[index]
        results[segment] = scores if isinstance(scores, str) else ""
        if isinstance(scores, str):
            continue
        ids = future.input_ids(segment, periods_ahead(int(series.panel.ends[index]), horizon))
        told = notes(context, request, series, index, models[index], "the segment")
        lineage = model_lineage(models[index], "", carried[index], ids, context, told)
        output.add(segment, series.last_times[index].item(), times[index], scores, lineage)
    return results
