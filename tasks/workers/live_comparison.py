"""Live comparison: challenger against champion on rows that came after the cutoffs of both models."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import FloatArray
from domain.calendar.ordinals import positions
from domain.data.model_record import Champion, ModelRecord
from domain.data.tables import SEGMENTS, observations
from domain.errors import InferenceError
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.features.series import Series, build_series, encode_covariates, future_covariates, lacking_columns
from models.inference.loaded_models import LoadedModels
from models.training.metrics import window_errors
from tasks.workers.run_context import RunContext, in_bucket

__all__ = ["LiveErrors", "live_errors"]


@dataclass(frozen=True)
class LiveErrors:
    """Errors of both models on the same rows after both cutoffs. rows : the smaller number of rows measured."""

    rows: int
    challenger: float
    champion: float


def live_errors(
    context: RunContext, bucket: int, challengers: Mapping[str, ModelRecord], champions: Mapping[str, Champion]
) -> dict[str, LiveErrors]:
    """Compare the segments that have a different champion and rows after both cutoffs."""
    if not context.fleet.task_type.periodic:
        return {}
    newest = {r["segment"]: r["last_time"] for r in context.table(SEGMENTS).read(where=in_bucket(bucket)).to_pylist()}
    cutoffs: dict[str, datetime] = {}
    for segment, champion in champions.items():
        challenger = challengers.get(segment)
        if challenger is None or challenger.fingerprint == champion.fingerprint or segment not in newest:
            continue
        both = [cutoff for cutoff in (challenger.cutoff, champion.cutoff) if cutoff is not None]
        if both and newest[segment] > max(both):
            cutoffs[segment] = max(both)
    if not cutoffs:
        return {}
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    return {
        segment: _compare(context, rows, cutoff, challengers[segment], champions[segment])
        for segment, cutoff in cutoffs.items()
    }


def _compare(
    context: RunContext, rows: pa.Table, cutoff: datetime, challenger: ModelRecord, champion: ModelRecord
) -> LiveErrors:
    """Errors of both models; NaN for a model whose features the rows lack, or whose graph is not the trained one."""
    own = rows.filter(pc.equal(rows["segment"], challenger.segment))
    late = pc.greater(own["time"], pa.scalar(cutoff, own["time"].type))
    after = own.filter(late)
    errors: list[float] = []
    counts: list[int] = []
    for model in (challenger, champion):
        contract = FeatureSpec.from_json(model.contract)
        # A former champion whose features have left the fleet file, or a graph that scoring would not run either.
        if lacking_columns(own, contract) or model.graph_failure():
            errors.append(math.nan)
            continue
        series = build_series(own.filter(pc.invert(late)), contract, context.fleet.clock)
        periods = positions(after["time"].to_numpy(), context.fleet.clock, contract.zone)
        known = {challenger.segment: (periods, encode_covariates(after, contract))}
        future = future_covariates(series, contract, known)
        prediction = _forecast(series, model, future.values)
        step = periods - series.panel.ends[0]
        inside = (step >= 1) & (step <= contract.horizon)
        actual = after["target"].to_numpy()[inside]
        scale = np.array(model.scale)
        errors.append(float(window_errors(actual, prediction[step[inside] - 1], context.fleet.backtest.metric, scale)))
        counts.append(int(inside.sum()))
    return LiveErrors(min(counts, default=0), *errors)


def _forecast(series: Series, model: ModelRecord, future: FloatArray) -> FloatArray:
    """Predictions [H] of one model.

    Raises InferenceError if it cannot be run.
    """
    (outputs,) = LoadedModels({model.segment: model}).forecast(series, future)
    if isinstance(outputs, Failure):
        raise InferenceError(f"segment '{model.segment}', {model.model_name}: {outputs.reason}")
    return outputs.prediction
