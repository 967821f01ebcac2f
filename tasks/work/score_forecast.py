"""Forecast the next periods of every segment of a bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.runtime import Scores
from models.calendar import future_times, ordinals
from models.features import Contract, contract_of
from models.fleet import Time
from models.levels import level_label, level_observations
from models.panel import FloatArray, IntArray
from models.partition import level_keys, runs_of
from models.records import Champion
from models.series import Series, build_series, encode_covariates, future_covariates
from models.tables import PREDICTIONS, levels, observations
from tasks.work.forecasting import forecast_models
from tasks.work.job import Job, in_bucket

__all__ = ["score_forecast"]

Times = npt.NDArray[np.datetime64]


@dataclass
class _Output:
    """Columns of prediction rows, appended a segment at a time; one row a step."""

    columns: dict[str, list[object]] = field(default_factory=dict)

    def add(self, segment: str, origin: object, times: Times, scores: Scores, lineage: Mapping[str, object]) -> None:
        n = len(times)
        block: dict[str, Sequence[object]] = {
            "segment": [segment] * n,
            "origin": [origin] * n,
            "time": times.tolist(),
            "step": list(range(1, n + 1)),
            "prediction": _values(scores.prediction),
            "lower": _values(scores.lower),
            "upper": _values(scores.upper),
        }
        for name in ("status", "reason", "input_id"):
            value = lineage[name]
            block[name] = value if isinstance(value, list) else [value] * n
        for name in ("candidate", "model_name", "model_version", "fallback_level"):
            block[name] = [lineage.get(name)] * n
        for name, values in block.items():
            self.columns.setdefault(name, []).extend(values)

    def table(self) -> pa.Table:
        rows = len(self.columns.get("segment", []))
        schema = PREDICTIONS.file_schema
        arrays = {
            item.name: pa.array(self.columns.get(item.name, [None] * rows), item.type)
            for item in schema
            if item.name not in ("release", "job_id", "scored_at")
        }
        return pa.table(arrays)


def _values(values: FloatArray) -> list[object]:
    return [None if np.isnan(value) else value for value in values.tolist()]


@dataclass(frozen=True)
class _Future:
    """Covariates given for future periods: of each segment the ordinals, covariates, times and the input's id."""

    rows: Mapping[str, tuple[IntArray, FloatArray]]
    times: Mapping[str, Times]
    inputs: Mapping[str, str]


def score_forecast(
    job: Job,
    bucket: int,
    champions: Mapping[str, Champion],
    level_models: Mapping[str, Champion],
    requests: pa.Table,
    source: str,
) -> pa.Table:
    """Prediction rows (without the job's columns) of all segments that have observations or future covariates."""
    time = job.fleet.clock
    known = next(iter([*champions.values(), *level_models.values()]), None)
    contract = Contract.from_json(known.contract) if known else contract_of(job.fleet, {})
    rows = job.table(observations(job.fleet)).read(where=in_bucket(bucket))
    series = build_series(rows, contract, time)
    future = _future(requests, contract, time)
    output = _Output()
    position = {segment: index for index, segment in enumerate(series.segments)}
    own = [segment for segment in series.segments if segment in champions]
    _score_own(job, series.take([position[segment] for segment in own]), champions, future, source, output)
    unseen = [segment for segment in future.rows if segment not in position]
    rest = [*(segment for segment in series.segments if segment not in champions), *sorted(unseen)]
    if rest:
        _score_rest(job, rest, series, position, level_models, contract, future, source, output)
    return output.table()


def _future(requests: pa.Table, contract: Contract, time: Time) -> _Future:
    # The newest input wins where two give the same period: they are applied in order.
    requests = requests.sort_by([("segment", "ascending"), ("path", "ascending"), ("row", "ascending")])
    encoded, times = encode_covariates(requests, contract), requests["time"].to_numpy().astype("datetime64[us]")
    periods = ordinals(times, time.frequency)
    rows: dict[str, tuple[IntArray, FloatArray]] = {}
    ordered: dict[str, Times] = {}
    inputs: dict[str, str] = {}
    for start, length in zip(*runs_of(requests["segment"]), strict=True):
        part = slice(int(start), int(start + length))
        segment = requests["segment"][int(start)].as_py()
        rows[segment], ordered[segment] = (periods[part], encoded[part]), np.unique(times[part])
        inputs[segment] = requests["input_id"][part.stop - 1].as_py()
    return _Future(rows, ordered, inputs)


def _score_own(
    job: Job, series: Series, champions: Mapping[str, Champion], future: _Future, source: str, output: _Output
) -> None:
    if not series.segments:
        return
    models = [champions[segment] for segment in series.segments]
    horizon = Contract.from_json(models[0].contract).horizon
    covariates, carried = future_covariates(series, horizon, future.rows)
    times = future_times(series.last_times, horizon, job.fleet.clock.frequency)
    for index, scores in enumerate(forecast_models(series, models, covariates)):
        segment = series.segments[index]
        origin = series.last_times[index].item()
        lineage = _lineage(models[index], "", carried[index], future.inputs.get(segment, source), job)
        output.add(segment, origin, times[index], _without(scores, lineage), lineage)


def _lineage(
    model: Champion, level: str, carried: npt.NDArray[np.bool_], input_id: str, job: Job, reason: str = ""
) -> dict[str, object]:
    """Status and lineage columns; a step whose covariates are not known is told apart."""
    reject = job.fleet.score is not None and job.fleet.score.missing_covariates == "reject"
    status = ["missing_covariates" if reject and flag else "ok" for flag in carried]
    told = "covariates carried forward from the last known period"
    reasons = ["; ".join(filter(None, (reason, told if flag else ""))) or None for flag in carried]
    return {
        "status": status,
        "reason": reasons,
        "input_id": input_id,
        "candidate": model.candidate,
        "model_name": model.model_name,
        "model_version": model.model_version,
        "fallback_level": level,
    }


def _without(scores: Scores, lineage: Mapping[str, object]) -> Scores:
    """Scores with NaN where the status is not ok."""
    good = np.array([status == "ok" for status in lineage["status"]])  # type: ignore[attr-defined]
    return Scores(*(np.where(good, values, np.nan) for values in (scores.prediction, scores.lower, scores.upper)))


def _score_rest(
    job: Job,
    segments: Sequence[str],
    series: Series,
    position: Mapping[str, int],
    level_models: Mapping[str, Champion],
    contract: Contract,
    future: _Future,
    source: str,
    output: _Output,
) -> None:
    """Segments without a champion: the first level of the chain that has one, else the last value, else no model."""
    level_rows = level_observations(job.table(levels(job.fleet)).read(), job.fleet)
    by_level = build_series(level_rows, contract, job.fleet.clock)
    at = {key: index for index, key in enumerate(by_level.segments)}
    chains = level_keys(list(segments), job.fleet)
    for number, segment in enumerate(segments):
        keys = [keys[number] for keys in chains.values()]
        key = next((key for key in keys if key in level_models and key in at), None)
        own = series.take([position[segment]]) if segment in position else None
        input_id = future.inputs.get(segment, source)
        if key is not None:
            stand_in = _named(by_level.take([at[key]]), segment)
            _from_level(job, segment, own, stand_in, level_models[key], level_label(key), future, input_id, output)
        elif own is not None:
            _naive(job, segment, own, contract.horizon, input_id, output)
        else:
            _no_model(segment, future, output)


def _named(series: Series, segment: str) -> Series:
    return Series((segment,), series.panel, series.covariates, series.last_times, series.rows)


def _from_level(
    job: Job,
    segment: str,
    own: Series | None,
    level: Series,
    model: Champion,
    label: str,
    future: _Future,
    input_id: str,
    output: _Output,
) -> None:
    """The level's forecast from the level's origin, scaled to the segment where it has rows of its own."""
    horizon = Contract.from_json(model.contract).horizon
    covariates, carried = future_covariates(level, horizon, future.rows)
    scores = forecast_models(level, [model], covariates)[0]
    ratio, reason = 1.0, f"no model of its own; {label} model"
    if own is not None:
        ratio = _ratio(own, level)
        reason = f"{reason}, scaled by {ratio:.4g} to the segment's rows"
    scaled = Scores(scores.prediction * ratio, scores.lower * ratio, scores.upper * ratio)
    times = future_times(level.last_times, horizon, job.fleet.clock.frequency)[0]
    lineage = _lineage(model, label, carried[0], input_id, job, reason)
    output.add(segment, level.last_times[0].item(), times, _without(scaled, lineage), lineage)


def _ratio(own: Series, level: Series) -> float:
    """Size of the segment relative to its level, over the periods that both have."""
    mine, theirs = own.panel.values[0], level.panel.values[0]
    last = int(own.panel.ends[0] - level.panel.ends[0])
    theirs = theirs[: len(theirs) + last] if last < 0 else theirs
    shared = min(len(mine), len(theirs))
    pairs = np.stack([mine[len(mine) - shared :], theirs[len(theirs) - shared :]])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] == 0 or pairs[1].mean() <= 0:
        return 1.0
    return float(max(pairs[0].mean(), 0.0) / pairs[1].mean())


def _naive(job: Job, segment: str, own: Series, horizon: int, input_id: str, output: _Output) -> None:
    value, unknown = own.panel.values[0, -1], np.full(horizon, np.nan)
    scores = Scores(np.full(horizon, value), unknown, unknown)
    times = future_times(own.last_times, horizon, job.fleet.clock.frequency)[0]
    lineage = {"status": "ok", "reason": "no model of its own and no level; last value", "input_id": input_id}
    naive = {"candidate": "naive", "fallback_level": "naive"}
    output.add(segment, own.last_times[0].item(), times, scores, lineage | naive)


def _no_model(segment: str, future: _Future, output: _Output) -> None:
    """An explicit row for every period that was asked for; never a number."""
    times = future.times[segment]
    unknown = np.full(len(times), np.nan)
    lineage = {"status": "no_model", "reason": "the segment has no rows and no level has a model"}
    output.add(segment, None, times, Scores(unknown, unknown, unknown), lineage | {"input_id": future.inputs[segment]})
