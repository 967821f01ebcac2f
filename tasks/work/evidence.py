"""Live evidence: challenger against champion on rows that came after both models' cut-offs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.calendar import ordinals
from models.metrics import window_errors
from models.series import build_series
from models.tables import SEGMENTS, observations
from tasks.work.forecasting import ModelRow, contract_of_rows, forecast_models
from tasks.work.job import Job, in_bucket

__all__ = ["LiveErrors", "live_errors"]


@dataclass(frozen=True)
class LiveErrors:
    """Errors of both models on the same rows after both cut-offs."""

    rows: int
    challenger: float
    champion: float


def live_errors(
    job: Job, bucket: int, challengers: Mapping[str, ModelRow], champions: Mapping[str, ModelRow]
) -> dict[str, LiveErrors]:
    """Live errors of the segments that have a different champion and rows after both cut-offs."""
    if job.fleet.task != "forecast":
        return {}
    newest = {r["segment"]: r["last_time"] for r in job.table(SEGMENTS).read(where=in_bucket(bucket)).to_pylist()}
    cutoffs: dict[str, object] = {}
    for segment, champion in champions.items():
        challenger = challengers.get(segment)
        if challenger is None or challenger["fingerprint"] == champion["fingerprint"] or segment not in newest:
            continue
        cutoff = max(challenger["cutoff"], champion["cutoff"])  # type: ignore[call-overload]
        if newest[segment] > cutoff:
            cutoffs[segment] = cutoff
    if not cutoffs:
        return {}
    rows = job.table(observations(job.fleet)).read(where=in_bucket(bucket))
    return {segment: _compare(job, rows, segment, cutoffs[segment], challengers, champions) for segment in cutoffs}


def _compare(
    job: Job,
    rows: pa.Table,
    segment: str,
    cutoff: object,
    challengers: Mapping[str, ModelRow],
    champions: Mapping[str, ModelRow],
) -> LiveErrors:
    own = rows.filter(pc.equal(rows["segment"], segment))
    late = pc.greater(own["time"], pa.scalar(cutoff, own["time"].type))
    after = own.filter(late)
    errors = []
    for model in (challengers[segment], champions[segment]):
        contract = contract_of_rows([model])
        series = build_series(own.filter(pc.invert(late)), contract, job.fleet.clock)
        future = np.repeat(series.covariates[:, -1:, :], contract.horizon, axis=1)
        prediction = forecast_models(series, [model], future)[0].prediction
        step = ordinals(after["time"].to_numpy(), job.fleet.clock.frequency) - series.panel.ends[0]
        inside = (step >= 1) & (step <= contract.horizon)
        actual = after["target"].to_numpy()[inside]
        scale = np.array(float(model["scale"]))  # type: ignore[arg-type]
        errors.append(float(window_errors(actual, prediction[step[inside] - 1], job.fleet.backtest.metric, scale)))
    return LiveErrors(int(inside.sum()), *errors)
