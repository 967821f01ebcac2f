"""Regressors with scikit-learn's interface, fitted one segment at a time."""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from domain.arrays import FloatArray
from domain.config.fleet import Fleet
from domain.config.training import CandidateConfig
from domain.errors import ExportError, FleetError, first_line
from domain.failure import Failure
from models.features.centre import centres
from models.features.design import design_matrix
from models.features.target_transform import from_scale, to_scale
from models.features.training_rows import Cutoff
from models.onnx_graphs.builder import ML_OPSET, OPSET, TreesMember
from models.regressors.tree_arrays import tree_arrays
from models.training.base import Fitted, RowFit

__all__ = ["Estimator", "Regressor", "predicted", "tree_member"]

FloatArray32 = npt.NDArray[np.float32]


class Regressor(Protocol):
    """The part of scikit-learn's interface that a candidate needs."""

    def fit(self, X: FloatArray32, y: FloatArray) -> "Regressor": ...

    def predict(self, X: FloatArray32) -> FloatArray: ...


def _maker(path: str, candidate: CandidateConfig, defaults: Mapping[str, object]) -> Callable[[], Regressor]:
    """A maker of fresh regressors; of the defaults, those that the regressor takes."""
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise FleetError(f"candidates: '{candidate.name}': cannot import {path}: {exc}") from exc
    if not (callable(getattr(kind, "fit", None)) and callable(getattr(kind, "predict", None))):
        raise FleetError(f"candidates: '{candidate.name}': {path} is no regressor; it needs fit(X, y) and predict(X)")
    taken = inspect.signature(kind).parameters
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values())
    arguments = {name: value for name, value in defaults.items() if name in taken or open_ended} | candidate.params
    try:
        kind(**arguments)
    except (TypeError, ValueError) as exc:
        raise FleetError(f"candidates: '{candidate.name}': {path} refuses its params: {exc}") from exc
    return lambda: cast("Regressor", kind(**arguments))


class Estimator:
    """Any scikit-learn compatible regressor, fitted one segment at a time on the untransformed design.

    Whatever takes a `random_state` gets the fleet's seed, so that two trainings yield the same model.
    Raises FleetError if its import path does not lead to a regressor, or the regressor refuses its parameters.
    """

    needs_rows = True

    def __init__(self, config: CandidateConfig, fleet: Fleet) -> None:
        path, defaults = self.regressor(config, fleet)
        self.make = _maker(path, config, defaults | {"random_state": fleet.seed})
        self._name, self._transform = config.name, fleet.target.transform

    @staticmethod
    def regressor(config: CandidateConfig, fleet: Fleet) -> tuple[str, dict[str, object]]:
        """Import path of the regressor, and its default arguments."""
        return str(config.estimator), {}

    def fit(self, cutoffs: Sequence[Cutoff]) -> list[Fitted]:
        return [self._fit(cutoff) for cutoff in cutoffs]

    def _fit(self, cutoff: Cutoff) -> Fitted:
        rows = cutoff.table
        design, raw_anchor = _design(rows.base, cutoff)
        anchor = to_scale(raw_anchor, self._transform)
        y = to_scale(np.nan_to_num(rows.target), self._transform) - anchor
        at, raw = _design(cutoff.base_at_origin(), cutoff)
        origin = to_scale(raw, self._transform)
        training = cutoff.training()
        values = np.full((len(training), cutoff.horizon), np.nan)
        fitted: dict[int, Regressor] = {}
        failures: dict[int, str] = {}
        width = design.shape[-1]
        for s, used in enumerate(training):
            if used.sum() < 2 * width:
                continue
            try:
                fitted[s] = self.make().fit(design[s][used].astype(np.float32), y[s][used])
                relative = predicted(fitted[s], at[s])
            except Exception as exc:  # noqa: BLE001 - foreign code: whatever it raises, the segment has other candidates
                failures[s] = first_line(exc)
            else:
                values[s] = from_scale(relative + origin[s], self._transform)
        return Fitted(values, lambda s: tree_member(self._name, fitted[s], width), lambda s: {}, failures)

    def fit_rows(self, x: FloatArray, y: FloatArray) -> RowFit | Failure:
        if len(y) < 20:
            return Failure("fewer than 20 rows")
        try:
            regressor = self.make().fit(x.astype(np.float32), to_scale(y, self._transform))
            predicted(regressor, x[:1])
        except Exception as exc:  # noqa: BLE001 - foreign code: whatever it raises, the segment has other candidates
            return Failure(first_line(exc))

        def predict(rows: FloatArray) -> FloatArray:
            try:
                return from_scale(predicted(regressor, rows), self._transform)
            except Exception:  # noqa: BLE001 - as above
                return np.full(len(rows), np.nan)

        return RowFit(predict, lambda: tree_member(self._name, regressor, x.shape[1]))


def _design(base: FloatArray, cutoff: Cutoff) -> tuple[FloatArray, FloatArray]:
    """Design columns and anchor of base features [S, ..., k], in the precision in which a graph gets them."""
    spec = cutoff.spec
    if not spec.centred:
        return design_matrix(base.astype(np.float32), spec.design, "none")
    centre = centres(cutoff.series.panel).reshape(-1, *(1,) * (base.ndim - 2))
    base = base.copy()
    base[..., list(spec.design.values)] -= centre[..., None]
    design, anchor = design_matrix(base.astype(np.float32), spec.design, "none")
    return design, anchor + centre


def predicted(regressor: Regressor, x: FloatArray) -> FloatArray:
    """Predictions [n] of a regressor for rows x [n, d].

    Raises whatever the regressor raises, or ValueError for predictions of another shape.
    """
    return np.asarray(regressor.predict(x.astype(np.float32)), dtype=np.float64).reshape(len(x))


def tree_member(name: str, regressor: Regressor, width: int) -> TreesMember:
    """A fitted regressor as a member of a graph; width : number of design columns.

    Raises ExportError if it cannot be converted.
    """
    booster = getattr(regressor, "booster_", None)
    if booster is not None:
        return TreesMember(name, nodes=tree_arrays(booster))
    from skl2onnx import to_onnx  # Heavy, and needed only for winners of this kind.

    example = np.zeros((1, width), dtype=np.float32)
    try:
        converted = to_onnx(regressor, example, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET})
    except Exception as exc:
        raise ExportError(f"{type(regressor).__name__} has no ONNX form: {first_line(exc)}") from exc
    return TreesMember(name, converted=converted.SerializeToString())
