"""From champions, history and covariates to predictions, or to a reason why there are none.

The one code that batch scoring runs, and that online serving is to run: pure functions of models and rows, without a
lake, a scheduler or any training. `predict` forecasts segments, `predict_rows` predicts the rows of a regression fleet;
both follow the fallback chain. The sessions that models are run in belong to `LoadedModels`, which the caller keeps.
"""
