"""Series whose level is many times their swing: models keep the digits of the swing; ordinary ones do not change."""

import json

import numpy as np
import pytest
from kit import panel_of, series_of

from models.features.centre import needs_centre
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.inference.loaded_models import LoadedModels
from models.training.forecast import train_forecast
from tests.unit.models.inference.test_loaded_models import record

HORIZON = 6
RNG = np.random.default_rng(3)
SERIES = {
    "seasonal": 10 * np.sin(np.arange(90) * 2 * np.pi / 7) + RNG.normal(0, 1, 90),
    "trend": np.arange(90) / 3 + RNG.normal(0, 1, 90),
    "noise": RNG.normal(0, 8, 90).cumsum() / 4,
}
CANDIDATES = ["seasonal_naive", "moving_average", "ses", "holt_damped", "ets", "theta", "adida", "ridge", "lightgbm"]
FOREST = {"name": "forest", "estimator": "sklearn.ensemble.RandomForestRegressor", "params": {"n_estimators": 10}}


def forecasts(fleet, values, candidate, level, **changes):
    series = series_of(values + level, season=7, covariates=np.zeros((1, 90, 1)))
    chosen = fleet.forecast(candidates=[candidate], horizon=HORIZON, **changes)
    (result,) = train_forecast(series, chosen, feature_spec_of(chosen, {}))
    assert not result.failed, result.reason
    contract = FeatureSpec.from_json(result.contract)
    models = LoadedModels({series.segments[0]: record(result, contract)})
    (outputs,) = models.forecast(series, np.zeros((1, HORIZON, 1)))
    return outputs, result, contract


@pytest.mark.parametrize("level", [1e8, -3e9, 1e6])
@pytest.mark.parametrize("values", SERIES.values(), ids=SERIES.keys())
@pytest.mark.parametrize("candidate", [*CANDIDATES, FOREST], ids=[*CANDIDATES, "forest"])
def test_every_candidate_keeps_six_digits_of_the_swing(fleet, candidate, values, level):
    outputs, result, contract = forecasts(fleet, values, candidate, level)
    assert contract.centred
    # Relative to the swing, not to the level: the gate for parity holds in these terms too.
    assert result.parity_error < 1e-6
    centre = json.loads(result.parameters)[""]["centre"]
    assert abs(centre - level) < 60
    # Beyond the digits of float32 at this level, which are a multiple of 8 at 1e8.
    assert np.any(np.abs(outputs.prediction.astype(np.float32) - outputs.prediction) > 1e-4)
    assert np.all(outputs.lower <= outputs.prediction)
    assert np.all(outputs.prediction <= outputs.upper)


@pytest.mark.parametrize("candidate", ["seasonal_naive", "ridge"])
def test_a_level_moves_the_forecast_and_changes_nothing_else(fleet, candidate):
    near, *_ = forecasts(fleet, SERIES["seasonal"] + 50, candidate, 0)
    far, *_ = forecasts(fleet, SERIES["seasonal"] + 50, candidate, 1e8)
    for ordinary, lifted in zip(vars(near).values(), vars(far).values(), strict=True):
        np.testing.assert_allclose(lifted - 1e8, ordinary, atol=3e-5)


def test_the_minimum_holds_for_centred_models(fleet):
    values = SERIES["noise"] - SERIES["noise"].min()
    target = {"column": "units", "minimum": 1e8 + 9}
    outputs, _, contract = forecasts(fleet, values, "moving_average", 1e8, target=target)
    assert contract.minimum == 1e8 + 9
    assert outputs.lower.min() == 1e8 + 9


def test_ordinary_models_know_nothing_of_a_centre(fleet):
    _, result, contract = forecasts(fleet, SERIES["seasonal"], "ses", 5_000)
    assert not contract.centred
    assert "centred" not in result.contract
    assert list(json.loads(result.parameters)) == ["ses"]


def test_a_fleet_trains_ordinary_and_centred_segments_side_by_side(fleet):
    chosen = fleet.forecast(candidates=["ses", "ridge"], horizon=HORIZON)
    series = series_of(*(SERIES["noise"] + level for level in (50, 1e8, 60, 2e8)), covariates=np.zeros((4, 90, 1)))
    results = train_forecast(series, chosen, feature_spec_of(chosen, {}))
    assert [FeatureSpec.from_json(result.contract).centred for result in results] == [False, True, False, True]
    models = LoadedModels({r.segment: record(r, FeatureSpec.from_json(r.contract)) for r in results})
    outputs = models.forecast(series, np.zeros((4, HORIZON, 1)))
    for level, result in zip((50, 1e8, 60, 2e8), outputs, strict=True):
        np.testing.assert_allclose(result.prediction - level, outputs[0].prediction - 50, atol=1)


@pytest.mark.parametrize(
    ("values", "transform", "needed"),
    [
        ([1e8, 1e8 + 90], "none", True),
        ([-1e8, -1e8 - 30], "none", True),
        ([1e8, 1e8 + 90], "log1p", False),
        ([100, 130], "none", False),
        ([7, 7], "none", False),
        ([0.1, 0.1], "none", False),
        ([123_456_789, 123_456_789], "none", True),
        ([0, 0], "none", False),
        ([1e35, 1.3e35], "none", False),
    ],
)
def test_only_a_level_of_many_swings_needs_a_centre(values, transform, needed):
    spec = FeatureSpec("forecast", transform=transform)
    assert needs_centre(panel_of(values, season=1), spec).tolist() == [needed]
