"""Regressors with bad manners, for fleets that name them by import path."""

import numpy as np


class Mean:
    """Predicts the mean; no ONNX converter knows it."""

    def fit(self, X, y):
        self.mean = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean)


class RaisesOnLarge(Mean):
    """Refuses targets whose mean size is above 1,000."""

    def fit(self, X, y):
        if np.mean(np.abs(y)) > 1000.0:
            raise RuntimeError("too large for me")
        return super().fit(X, y)


class NanOnLarge(Mean):
    def fit(self, X, y):
        super().fit(X, y)
        self.mean = np.nan if np.mean(np.abs(y)) > 1000.0 else self.mean
        return self


class RaisesAtPrediction(Mean):
    def predict(self, X):
        raise RuntimeError("not today")


class WrongShape(Mean):
    def predict(self, X):
        return np.zeros((len(X), 2))


class NoRegressor:
    pass
