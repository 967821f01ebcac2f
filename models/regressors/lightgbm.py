"""LightGBM, one segment at a time."""

from domain.config.fleet import Fleet
from domain.config.training import CandidateConfig
from models.regressors.estimators import Estimator

__all__ = ["LightGbm"]

_DEFAULTS: dict[str, object] = {
    "n_estimators": 100,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_child_samples": 10,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.8,
    "n_jobs": 1,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
}


class LightGbm(Estimator):
    """Gradient-boosted trees; those of a regression fleet fit what its metric rewards."""

    @staticmethod
    def regressor(config: CandidateConfig, fleet: Fleet) -> tuple[str, dict[str, object]]:
        absolute = fleet.task_type.absolute_loss and fleet.backtest.metric in ("mae", "wape")
        return "lightgbm.LGBMRegressor", _DEFAULTS | {"objective": "l1" if absolute else "l2"}
