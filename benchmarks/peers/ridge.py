"""A peer's work per segment: ridge on precomputed rows, three rolling folds and a refit, without ONNX.

joblib, Ray and Spark call it unchanged in the peers' own environments, which do not contain Myriad.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = (3, 5, 8)
HORIZON = 8
NOT_FEATURES = ("segment", "week", "units")


def fit_segment(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a segment's mean backtest error (WAPE) over three folds, then refit. frame : its rows by week."""
    names = [name for name in frame.columns if name not in NOT_FEATURES]
    x, y = frame[names].to_numpy(), np.log1p(frame["units"].to_numpy())
    errors = []
    for drop in (*FOLDS, 0):
        cut = len(y) - drop
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(x[:cut], y[:cut])
        predicted = np.expm1(model.predict(x[cut : cut + HORIZON] if drop else x[-HORIZON:]))
        if drop:
            actual = np.expm1(y[cut : cut + HORIZON])
            errors.append(np.abs(predicted - actual).sum() / actual.sum())
    return pd.DataFrame({"segment": [str(frame["segment"].iloc[0])], "wape": [float(np.mean(errors))]})
