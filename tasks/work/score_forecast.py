"""Forecast the next periods of every segment of a bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.runtime import Scores
from models.calendar import future_times, ordinals
from models.errors import LakeError
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
    """Covariates given for future periods, by segment.

    rows : ordinals and covariates, the newest input last. times : periods that were asked for.
    inputs : period -> id of the newest input that has a row for it. source : what stands for the other periods.
    """

    rows: Mapping[str, tuple[IntArray, FloatArray]]
    times: Mapping[str, Times]
    inputs: Mapping[str, Mapping[int, str]]
    source: str

    def input_ids(self, segment: str, periods: IntArray) -> list[str]:
        """Where the covariates of each period came from."""
        known = self.inputs.get(segment, {})
        return [known.get(period, self.source) for period in periods.tolist()]


def score_forecast(
    job: Job,
    bucket: int,
    champions: Mapping[str, Champion],
    level_models: Mapping[str, Champion],
    requests: pa.Table,
    source: str,
) -> pa.Table:
    """Prediction rows (without the job's columns) of all segments that have observations or future covariates."""
    rows = job.table(observations(job.fleet)).read(where=in_bucket(bucket))
    seen = pc.unique(rows["segment"]).to_pylist()
    output = _Output()
    # Champions of one release may come from trainings with other settings: each contract has columns of its own.
    by_contract: dict[str, list[str]] = {}
    for segment in seen:
        if segment in champions:
            by_contract.setdefault(champions[segment].contract, []).append(segment)
    scored: set[str] = set()
    for text, segments in by_contract.items():
        part = rows.filter(pc.is_in(rows["segment"], pa.array(segments, pa.string())))
        contract = Contract.from_json(text)
        series = build_series(part, contract, job.fleet.clock)
        future = _future(requests, contract, job.fleet.clock, source)
        _score_own(job, series, contract, champions, future, output)
        scored.update(series.segments)
    unseen = sorted(set(pc.unique(requests["segment"]).to_pylist()) - set(seen))
    rest = [segment for segment in [*seen, *unseen] if segment not in scored]
    if rest:
        _Rest(job, rows, requests, level_models, source, output).score(rest)
    return output.table()


def _future(requests: pa.Table, contract: Contract, time: Time, source: str) -> _Future:
    # Where two inputs give the same period the newer one wins: rows are applied in order.
    requests = requests.sort_by([(name, "ascending") for name in ("segment", "rank", "path", "row")])
    encoded, times = encode_covariates(requests, contract), requests["time"].to_numpy().astype("datetime64[us]")
    periods, ids = ordinals(times, time.frequency), requests["input_id"].to_pylist()
    rows: dict[str, tuple[IntArray, FloatArray]] = {}
    ordered: dict[str, Times] = {}
    inputs: dict[str, dict[int, str]] = {}
    for start, length in zip(*runs_of(requests["segment"]), strict=True):
        part = slice(int(start), int(start + length))
        segment = requests["segment"][int(start)].as_py()
        rows[segment], ordered[segment] = (periods[part], encoded[part]), np.unique(times[part])
        inputs[segment] = dict(zip(periods[part].tolist(), ids[part], strict=True))
    return _Future(rows, ordered, inputs, source)


def _score_own(
    job: Job,
    series: Series,
    contract: Contract,
    champions: Mapping[str, Champion],
    future: _Future,
    output: _Output,
) -> None:
    models, horizon = [champions[segment] for segment in series.segments], contract.horizon
    covariates, carried = future_covariates(series, horizon, future.rows)
    times = future_times(series.last_times, horizon, job.fleet.clock.frequency)
    for index, scores in enumerate(forecast_models(series, models, covariates)):
        segment = series.segments[index]
        origin = series.last_times[index].item()
        ids = future.input_ids(segment, _ahead(series.panel.ends[index], horizon))
        lineage = _lineage(models[index], "", carried[index], ids, job)
        output.add(segment, origin, times[index], _without(scores, lineage), lineage)


def _ahead(end: int, horizon: int) -> IntArray:
    """Ordinals of the periods after one."""
    return np.arange(end + 1, end + 1 + horizon)


def _lineage(
    model: Champion, level: str, carried: npt.NDArray[np.bool_], ids: Sequence[str], job: Job, reason: str = ""
) -> dict[str, object]:
    """Status and lineage columns; a step whose covariates are not known is told apart."""
    reject = job.fleet.score is not None and job.fleet.score.missing_covariates == "reject"
    status = ["missing_covariates" if reject and flag else "ok" for flag in carried]
    told = "covariates are not known" if reject else "covariates carried forward from the last known period"
    reasons = ["; ".join(filter(None, (reason, told if flag else ""))) or None for flag in carried]
    return {
        "status": status,
        "reason": reasons,
        "input_id": list(ids),
        "candidate": model.candidate,
        "model_name": model.model_name,
        "model_version": model.model_version,
        "fallback_level": level,
    }


def _without(scores: Scores, lineage: Mapping[str, object]) -> Scores:
    """Scores with NaN where the status is not ok."""
    good = np.array([status == "ok" for status in lineage["status"]])  # type: ignore[attr-defined]
    return Scores(*(np.where(good, values, np.nan) for values in (scores.prediction, scores.lower, scores.upper)))


class _Rest:
    """Segments without a champion: the first level of the chain that has one, else the last value, else no model."""

    def __init__(
        self,
        job: Job,
        rows: pa.Table,
        requests: pa.Table,
        level_models: Mapping[str, Champion],
        source: str,
        output: _Output,
    ) -> None:
        self._job, self._rows, self._requests = job, rows, requests
        self._models, self._source, self._output = level_models, source, output
        self._level_rows = _level_rows(job)
        self._prepared: dict[str, tuple[Contract, Series, Series, _Future]] = {}

    def score(self, segments: Sequence[str]) -> None:
        present = set(pc.unique(self._level_rows["segment"]).to_pylist())
        chains = level_keys(list(segments), self._job.fleet)
        for number, segment in enumerate(segments):
            keys = (keys[number] for keys in chains.values())
            key = next((key for key in keys if key in self._models and key in present), None)
            contract, own, by_level, future = self._prepare(self._models[key].contract if key else "")
            mine = _only(own, segment)
            if key is not None:
                self._from_level(segment, mine, _only(by_level, key), key, contract, future)
            elif mine is not None:
                self._naive(segment, mine, future)
            else:
                self._no_model(segment, future)

    def _prepare(self, text: str) -> tuple[Contract, Series, Series, _Future]:
        """Contract, series of segments and of levels, and future covariates; made once a contract."""
        if text not in self._prepared:
            clock = self._job.fleet.clock
            contract = Contract.from_json(text) if text else contract_of(self._job.fleet, {})
            own, by_level = (build_series(rows, contract, clock) for rows in (self._rows, self._level_rows))
            self._prepared[text] = contract, own, by_level, _future(self._requests, contract, clock, self._source)
        return self._prepared[text]

    def _from_level(
        self, segment: str, own: Series | None, level: Series | None, key: str, contract: Contract, future: _Future
    ) -> None:
        """The level's forecast from the level's origin, scaled to the segment where it has rows of its own."""
        if level is None:
            raise LakeError(f"fleet {self._job.fleet.name}: level {key} has a model but no rows; partition again")
        model, label = self._models[key], level_label(key)
        level = Series((segment,), level.panel, level.covariates, level.last_times, level.rows)
        covariates, carried = future_covariates(level, contract.horizon, future.rows)
        scores = forecast_models(level, [model], covariates)[0]
        factor, offset, reason = 1.0, 0.0, f"no model of its own; {label} model"
        if own is not None:
            factor, offset = _fitted_to(own, level)
            how = f"shifted by {offset:.4g}" if offset else f"scaled by {factor:.4g}"
            reason = f"{reason}, {how} to the segment's rows"
        scaled = _moved(scores, factor, offset, self._job.fleet.target.minimum)
        times = future_times(level.last_times, contract.horizon, self._job.fleet.clock.frequency)[0]
        ids = future.input_ids(segment, _ahead(level.panel.ends[0], contract.horizon))
        lineage = _lineage(model, label, carried[0], ids, self._job, reason)
        self._output.add(segment, level.last_times[0].item(), times, _without(scaled, lineage), lineage)

    def _naive(self, segment: str, own: Series, future: _Future) -> None:
        horizon = self._job.fleet.steps
        unknown = np.full(horizon, np.nan)
        scores = Scores(np.full(horizon, own.panel.values[0, -1]), unknown, unknown)
        times = future_times(own.last_times, horizon, self._job.fleet.clock.frequency)[0]
        lineage: dict[str, object] = {"candidate": "naive", "fallback_level": "naive", "status": "ok"}
        lineage["reason"] = "no model of its own and no level has one; last value"
        lineage["input_id"] = future.input_ids(segment, _ahead(own.panel.ends[0], horizon))
        self._output.add(segment, own.last_times[0].item(), times, scores, lineage)

    def _no_model(self, segment: str, future: _Future) -> None:
        """An explicit row for every period that was asked for, or for the horizon; never a number."""
        times = future.times.get(segment)
        if times is None:
            own = self._rows.filter(pc.equal(self._rows["segment"], segment))["time"].to_numpy()
            newest = own.astype("datetime64[us]").max(keepdims=True)
            times = future_times(newest, self._job.fleet.steps, self._job.fleet.clock.frequency)[0]
        unknown = np.full(len(times), np.nan)
        lineage: dict[str, object] = {"status": "no_model"}
        lineage["reason"] = "no usable row of its own and no level has a model"
        lineage["input_id"] = future.input_ids(segment, ordinals(times, self._job.fleet.clock.frequency))
        self._output.add(segment, None, times, Scores(unknown, unknown, unknown), lineage)


def _only(series: Series, segment: str) -> Series | None:
    """The series of one segment; None where it has no usable row."""
    return series.take([series.segments.index(segment)]) if segment in series.segments else None


def _moved(scores: Scores, factor: float, offset: float, minimum: float | None) -> Scores:
    floor = -np.inf if minimum is None else minimum
    parts = (scores.prediction, scores.lower, scores.upper)
    return Scores(*(np.maximum(values * factor + offset, floor) for values in parts))


def _fitted_to(own: Series, level: Series) -> tuple[float, float]:
    """Factor and offset that bring a level to a segment's size, over the periods that both have.

    A ratio where both are positive on average, a difference elsewhere; (1, 0) where they share no period.
    """
    mine, theirs = own.panel.values[0], level.panel.values[0]
    behind = int(level.panel.ends[0] - own.panel.ends[0])
    theirs = theirs[: max(len(theirs) - behind, 0)] if behind > 0 else theirs
    mine = mine[: max(len(mine) + behind, 0)] if behind < 0 else mine
    shared = min(len(mine), len(theirs))
    pairs = np.stack([mine[len(mine) - shared :], theirs[len(theirs) - shared :]])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] == 0:
        return 1.0, 0.0
    size, reference = float(pairs[0].mean()), float(pairs[1].mean())
    return (size / reference, 0.0) if size >= 0 and reference > 0 else (1.0, size - reference)


_summed: dict[tuple[str, int, str], pa.Table] = {}


def _level_rows(job: Job) -> pa.Table:
    """Series of the levels; every bucket of a job needs the same ones, so a worker adds them up once."""
    table = job.table(levels(job.fleet))
    key = (table.uri, table.version(), job.fleet.model_dump_json())
    if key not in _summed:
        rows = level_observations(table.read(), job.fleet)
        _summed.clear()
        _summed[key] = rows
    return _summed[key]
