"""Regressors made from a fleet's candidates."""

import pytest

from domain.config.training import CandidateConfig
from domain.errors import FleetError
from models.regressors.estimators import Estimator
from models.regressors.lightgbm import LightGbm


def regressor(fleet, estimator, **params):
    return Estimator(CandidateConfig(name="mine", estimator=estimator, params=params), fleet.forecast(seed=7)).make()


def test_an_import_path_makes_fresh_regressors_with_their_params(fleet):
    config = CandidateConfig(name="mine", estimator="sklearn.linear_model.Ridge", params={"alpha": 3.0})
    make = Estimator(config, fleet.forecast()).make
    assert make().alpha == 3.0
    assert make() is not make()


def test_a_random_regressor_gets_the_seed_of_the_fleet_unless_it_has_its_own(fleet):
    forest = "sklearn.ensemble.RandomForestRegressor"
    assert regressor(fleet, forest).random_state == 7
    assert regressor(fleet, forest, random_state=1).random_state == 1
    assert regressor(fleet, "lightgbm.LGBMRegressor").random_state == 7
    assert not hasattr(regressor(fleet, "sklearn.linear_model.LinearRegression"), "random_state")


@pytest.mark.parametrize(
    ("estimator", "params", "told"),
    [
        ("nowhere.Model", {}, "cannot import nowhere.Model"),
        ("sklearn.linear_model.Riidge", {}, "cannot import sklearn.linear_model.Riidge"),
        ("sklearn.linear_model.Ridge", {"alfa": 1}, "refuses its params"),
        ("regressors.NoRegressor", {}, "no regressor"),
    ],
)
def test_an_estimator_that_cannot_be_made_is_a_fleet_error(fleet, estimator, params, told):
    with pytest.raises(FleetError, match=f"candidates: 'mine': .*{told}"):
        regressor(fleet, estimator, **params)


@pytest.mark.parametrize(("metric", "objective"), [("mae", "l1"), ("wape", "l1"), ("rmse", "l2"), ("smape", "l2")])
def test_lightgbm_of_regression_fleets_fits_what_the_metric_rewards(fleet, metric, objective):
    made = LightGbm(CandidateConfig(name="lightgbm"), fleet.regression(backtest={"metric": metric})).make()
    assert made.objective == objective
    assert LightGbm(CandidateConfig(name="lightgbm"), fleet.forecast()).make().objective == "l2"
