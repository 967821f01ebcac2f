"""Stored models forecast what training saw, alone or among others, whatever their contracts."""

import numpy as np
import pytest
from kit import series_of

from domain.data.model_record import ModelRecord
from models.features.feature_spec import feature_spec_of
from models.inference.loaded_models import LoadedModels
from models.training.forecast import train_forecast

CANDIDATES = ["ses", "theta", "ridge"]


def forecast_models(series, models, future):
    """Forecasts of models, one per series; the series are named by their models."""
    loaded = LoadedModels(dict(zip(series.segments, models, strict=True)))
    return loaded.forecast(series, future)


def record(result, contract):
    return ModelRecord(
        segment=result.segment,
        level="segment",
        model_name="shop.x",
        candidate=result.candidate,
        metric="wape",
        error=result.error,
        baseline_error=result.baseline_error,
        weight=result.weight,
        rows=60,
        cutoff=None,
        scale=result.scale,
        fingerprint="f",
        contract=contract.to_json(),
        parameters=result.parameters,
        onnx=result.graph,
        sha256=result.sha256,
        parity_error=result.parity_error,
        latency_ms=result.latency_ms,
        run_id="run",
        refits=0,
    )


def trained(fleet, horizon, **changes):
    rng = np.random.default_rng(0)
    price = rng.normal(size=(3, 80, 1))
    values = 50.0 + 9.0 * price[:, :, 0] + rng.normal(0.0, 2.0, (3, 80))
    values[1, 20:] += 40.0
    series = series_of(values[0], values[1], values[2], season=7, ends=[700, 701, 702], covariates=price)
    chosen = fleet.forecast(candidates=CANDIDATES, horizon=horizon, **changes)
    contract = feature_spec_of(chosen, {})
    models = [record(result, contract) for result in train_forecast(series, chosen, contract)]
    return series, models


def test_every_segment_gets_its_own_forecast_in_the_order_asked_for(fleet):
    series, models = trained(fleet, 5)
    future = np.zeros((3, 5, 1))
    forecasts = forecast_models(series, models, future)
    assert [scores.prediction.shape for scores in forecasts] == [(5,)] * 3
    assert forecasts[1].prediction.mean() > forecasts[0].prediction.mean() + 20.0
    turned = forecast_models(series.take([2, 0, 1]), [models[2], models[0], models[1]], future)
    for first, second in zip([forecasts[2], forecasts[0], forecasts[1]], turned, strict=True):
        np.testing.assert_allclose(first.prediction, second.prediction, rtol=1e-6)
    for index in range(3):
        (alone,) = forecast_models(series.take([index]), [models[index]], future[[index]])
        np.testing.assert_allclose(alone.prediction, forecasts[index].prediction, rtol=1e-6)


def test_future_covariates_move_the_forecast(fleet):
    series, models = trained(fleet, 5, combine=False)
    cheap, dear = (forecast_models(series, models, np.full((3, 5, 1), price))[0] for price in (-2.0, 2.0))
    assert models[0].candidate == "ridge"
    assert (dear.prediction - cheap.prediction).min() > 20.0


def test_models_of_different_contracts_are_scored_side_by_side(fleet):
    series, models = trained(fleet, 5)
    _, others = trained(fleet, 5, features={"known": ["price"], "lags": "none", "calendar": "none"})
    mixed = [models[0], others[1], models[2]]
    future = np.zeros((3, 5, 1))
    forecasts = forecast_models(series, mixed, future)
    (second,) = forecast_models(series.take([1]), [others[1]], future[[1]])
    np.testing.assert_allclose(forecasts[1].prediction, second.prediction, rtol=1e-6)
    np.testing.assert_allclose(
        forecasts[0].prediction, forecast_models(series, models, future)[0].prediction, rtol=1e-6
    )


def test_a_model_that_was_not_retrained_follows_new_observations(fleet):
    series, models = trained(fleet, 5)
    values = np.concatenate([series.panel.values, np.full((3, 4), 300.0)], axis=1)
    price = np.concatenate([series.covariates, np.zeros((3, 4, 1))], axis=1)
    newer = series_of(*values, season=7, ends=series.panel.ends + 4, covariates=price)
    before = forecast_models(series, models, np.zeros((3, 5, 1)))
    after = forecast_models(newer, models, np.zeros((3, 5, 1)))
    for old, new in zip(before, after, strict=True):
        assert new.prediction.mean() > old.prediction.mean() + 5.0


@pytest.mark.parametrize("segments", [0, 1])
def test_nothing_to_score_gives_nothing(fleet, segments):
    series, models = trained(fleet, 2)
    assert len(forecast_models(series.take(range(segments)), models[:segments], np.zeros((segments, 2, 1)))) == segments
