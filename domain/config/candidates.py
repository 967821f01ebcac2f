"""The built-in candidates by name, and the tasks they can do."""

from typing import Literal

__all__ = ["BUILT_IN", "COMBINATION", "SMOOTHING", "Task"]

Task = Literal["forecast", "regression"]
_FORECAST: frozenset[Task] = frozenset({"forecast"})
_REGRESSION: frozenset[Task] = frozenset({"regression"})
_BOTH: frozenset[Task] = frozenset({"forecast", "regression"})

COMBINATION = "combination"
"""The weighted combination of a fleet's candidates; it competes unless `combine: false`."""

BUILT_IN: dict[str, frozenset[Task]] = {
    "seasonal_naive": _FORECAST,
    "moving_average": _FORECAST,
    "ses": _FORECAST,
    "holt_damped": _FORECAST,
    "ets": _FORECAST,
    "theta": _FORECAST,
    "adida": _FORECAST,
    "croston": _FORECAST,
    "mean": _REGRESSION,
    "median": _REGRESSION,
    "ridge": _BOTH,
    "lightgbm": _BOTH,
}

SMOOTHING = ("seasonal_naive", "moving_average", "ses", "holt_damped", "ets", "theta", "adida", "croston")
"""Candidates whose forecast is a function of states at the origin: level, trend and season."""
