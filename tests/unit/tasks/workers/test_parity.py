"""Batch scoring through the lake writes what the inference core returns for the same models and rows, to the bit."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pytest
from changed import change_champions, drop_champion
from rides import PAIRS, rides
from shop import DEAD, SHORT, STRANGE, UNSEEN

from domain.data.fallback_levels import fallback_observations
from domain.data.model_record import Champion
from domain.data.segments import FALLBACK_BUCKET, GLOBAL_KEY, bucket_of
from domain.data.tables import CHAMPIONS, PREDICTIONS, landed, levels, observations
from domain.failure import Failure
from models.inference.covariates import FutureCovariates
from models.inference.forecast import FallbackInputs, Forecast, ForecastInputs
from models.inference.history import History
from models.inference.loaded_models import Champions, LoadedModels
from models.inference.point_in_time import PointInTime
from models.inference.predict import predict
from models.inference.rows import RowPredictions, predict_rows
from tasks.ingest import ingest_files
from tasks.score import score_fleet

OWN, BROKEN = "store=1/brand=amber", ["store=2/brand=citra", "brand=amber", GLOBAL_KEY]
NUMBERS = ("prediction", "lower", "upper")
OUTSIDE = {
    "adapters",
    "tasks",
    "prefect",
    "dask",
    "distributed",
    "deltalake",
    "mlflow",
    "lightgbm",
    "sklearn",
    "skl2onnx",
}


def loaded(run, bucket):
    rows = run.table(CHAMPIONS).read(where=lambda partition: partition["bucket"] == str(bucket)).to_pylist()
    return LoadedModels({row["segment"]: Champion.from_row(row) for row in rows})


def of_bucket(rows, segments):
    return rows.filter(pa.compute.is_in(rows["segment"], pa.array(sorted(segments))))


def forecast_inputs(run, bucket, segments):
    """What batch scoring reads for one bucket. segments : all of the fleet that the bucket holds."""
    clock = run.fleet.clock
    history = History(run.table(observations(run.fleet)).read(where=lambda part: part["bucket"] == str(bucket)), clock)
    requests = of_bucket(run.table(landed(run.fleet, "requests")).read(), segments)
    requests = requests.append_column("rank", pa.array([0] * requests.num_rows))
    by_level = History(fallback_observations(run.table(levels(run.fleet)).read(), run.fleet), clock)
    newest = max(run.table(observations(run.fleet)).read()["time"].to_pylist())
    return ForecastInputs(
        history=history,
        covariates=FutureCovariates(requests, clock, "observations"),
        point_in_time=PointInTime(newest=newest),
        segments=[*history.segments, *sorted(segments - set(history.segments))],
        fallback=lambda: FallbackInputs(by_level, {}),
    )


def same(values, rows, name):
    return np.asarray(values).tobytes() == rows[name].to_numpy(dtype=float).tobytes()


@pytest.fixture
def scored(trained):
    """The shop, with every kind of answer: a champion, a level, the last value, and none."""
    run = trained.run()
    change_champions(run, BROKEN, onnx=b"no graph")
    drop_champion(run, OWN)
    score_fleet(run)
    return run


def buckets(run):
    """Segments of the predictions by bucket, and all rows by segment."""
    rows = run.table(PREDICTIONS).read().to_pandas().sort_values(["segment", "step"])
    owners = rows.groupby(rows.part.str.removeprefix("bucket-").astype(int)).segment.agg(set)
    return owners.to_dict(), dict(list(rows.groupby("segment")))


def test_forecasts_of_batch_scoring_are_those_of_predict(scored):
    by_bucket, rows = buckets(scored)
    results = {}
    for bucket, segments in by_bucket.items():
        champions = Champions(loaded(scored, bucket), loaded(scored, FALLBACK_BUCKET))
        results |= predict(champions, forecast_inputs(scored, bucket, segments), scored.fleet)
    assert set(results) == set(rows)
    for segment, result in results.items():
        if isinstance(result, Failure):
            assert set(rows[segment].status) == {"no_model"}
            assert rows[segment][list(NUMBERS)].isna().all(axis=None)
        else:
            assert set(rows[segment].fallback_level) == {result.fallback_level}
            assert rows[segment].time.tolist() == [
                time.tz_localize("UTC") for time in pd.DatetimeIndex(result.ahead.times)
            ]
            assert all(same(getattr(result.predictions, name), rows[segment], name) for name in NUMBERS), segment
    kinds = {segment: getattr(result, "fallback_level", "none") for segment, result in results.items()}
    assert (kinds[DEAD], kinds[UNSEEN], kinds[OWN], kinds[SHORT], kinds[STRANGE]) == (
        "",
        "brand",
        "naive",
        "naive",
        "none",
    )
    assert kinds["store=2/brand=citra"] == "brand"


def test_known_covariates_reach_the_models(scored):
    bucket, segments = next(iter(buckets(scored)[0].items()))
    champions = Champions(loaded(scored, bucket), loaded(scored, FALLBACK_BUCKET))
    inputs = forecast_inputs(scored, bucket, segments)
    known = predict(champions, inputs, scored.fleet)
    blank = replace(inputs, covariates=FutureCovariates(inputs.covariates._rows.slice(0, 0), scored.fleet.clock, ""))
    unknown = predict(champions, blank, scored.fleet)
    moved = [
        segment
        for segment, result in known.items()
        if isinstance(result, Forecast)
        and result.model
        and (result.predictions.prediction != unknown[segment].predictions.prediction).any()
    ]
    assert moved
    assert all(unknown[segment].covariates.carried.all() for segment in moved)
    assert not any(known[segment].covariates.carried.all() for segment in moved)


def test_a_second_call_makes_no_session_and_gives_the_same_bits(scored, monkeypatch):
    plain, calls = ort.InferenceSession, []
    monkeypatch.setattr(ort, "InferenceSession", lambda *args, **more: calls.append(1) or plain(*args, **more))
    by_level = loaded(scored, FALLBACK_BUCKET)
    for bucket, segments in buckets(scored)[0].items():
        champions = Champions(loaded(scored, bucket), by_level)
        first = predict(champions, forecast_inputs(scored, bucket, segments), scored.fleet)
        made = len(calls)
        second = predict(champions, forecast_inputs(scored, bucket, segments), scored.fleet)
        assert len(calls) == made > 0
        assert list(first) == list(second)
        for before, after in zip(first.values(), second.values(), strict=True):
            if isinstance(before, Forecast):
                pairs = ((getattr(before.predictions, name), getattr(after.predictions, name)) for name in NUMBERS)
                assert all(values.tobytes() == repeated.tobytes() for values, repeated in pairs)
                assert before.remarks == after.remarks
            else:
                assert before == after


def test_rows_of_batch_scoring_are_those_of_predict_rows(rides_run):
    run = rides_run
    change_champions(run, ["city=ulm/route=a"], onnx=b"no graph")
    today = rides(30, 5, [*PAIRS, ("ulm", "new"), ("wien", "x")])
    today.loc[0, "distance"] = np.nan
    today.drop(columns="minutes").to_csv(run.context.home / "today" / "one.csv", index=False)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    written = dict(list(run.table(PREDICTIONS).read().to_pandas().sort_values(["segment", "row"]).groupby("segment")))
    requests = run.table(landed(run.fleet, "requests")).read().sort_by([("segment", "ascending"), ("row", "ascending")])
    results = {}
    for bucket in range(run.fleet.partition.buckets):
        models = loaded(run, bucket)
        rows = {s: of_bucket(requests, {s}) for s in written if bucket == bucket_number(requests, s, run)}
        results |= predict_rows(Champions(models, loaded(run, FALLBACK_BUCKET)), rows, run.fleet, dict)
    assert set(results) == set(written)
    for segment, result in results.items():
        assert isinstance(result, RowPredictions)
        assert set(written[segment].fallback_level) == {result.fallback_level}
        assert all(same(getattr(result.predictions, name), written[segment], name) for name in NUMBERS), segment
    assert {result.fallback_level for result in results.values()} == {"", "city", "global"}


def bucket_number(requests, segment, run):
    hashes = of_bucket(requests, {segment})["hash"].to_numpy()
    return int(bucket_of(hashes, run.fleet.partition.buckets)[0])


def test_the_core_needs_no_lake_no_scheduler_and_no_training():
    """In a process of its own: what the modules import, and what that imports."""
    code = "import sys, models.inference.predict, models.inference.prediction_rows; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert "models.inference.rows" in modules
    assert not {name.partition(".")[0] for name in modules} & OUTSIDE
    assert not [name for name in modules if name.startswith(("models.training", "models.promotion"))]
