"""Stored models that are prepared once and run many times."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Generic, TypeVar

from domain.arrays import Float32Array, FloatArray
from domain.data.model_record import Champion, ModelRecord
from domain.failure import Failure
from models.features.centre import centre_of
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import features_at_end
from models.features.series import Series
from models.onnx_graphs.runtime import LoadedGraphs, Predictions

__all__ = ["Champions", "LoadedModels"]

M = TypeVar("M", bound=ModelRecord)
_KEPT_BATCHES = 64


class LoadedModels(Generic[M]):
    """Stored models by key, with the graphs and sessions that they have been run in.

    Models of one contract that run together share a batched graph and its session. The first run makes both; every
    later run of the same models reuses them. Not to be pickled: send models, and load them where they run.

    Every graph is compared with its recorded SHA-256 once, before anything is built from it. A graph that differs is
    never run: its model is a Failure like one that the runtime refuses, so its segment takes the fallback chain, and
    the other models of the batch are not affected. Batched graphs exist in memory only and are built here from the
    compared bytes, so they need no digest of their own. The comparison is made here, and not by each reader of a table,
    because all scoring passes through this class, whatever store the models came from.

    Parameters
    ----------
    models : stored models by segment or level.
    kept_batches : number of sets of models whose sessions are kept; the least recently used set is dropped.

    Attributes
    ----------
    refused : by key, the models that are never run because their graphs are not those that were trained.
    """

    def __init__(self, models: Mapping[str, M], kept_batches: int = _KEPT_BATCHES) -> None:
        self._models = dict(models)
        graphs = {key: model.onnx for key, model in models.items()}
        self.refused = {key: failure for key, model in models.items() if (failure := model.graph_failure())}
        # The caches do not refer to this object: its sessions are freed with it, not by the cycle collector.
        self._contract = lru_cache(maxsize=None)(FeatureSpec.from_json)
        self._loaded = lru_cache(maxsize=kept_batches)(
            lambda keys, contract: LoadedGraphs([graphs[key] for key in keys], FeatureSpec.from_json(contract))
        )

    def __contains__(self, key: str) -> bool:
        return key in self._models

    def __getitem__(self, key: str) -> M:
        return self._models[key]

    def contract(self, key: str) -> FeatureSpec:
        """The feature contract of a model."""
        return self._contract(self._models[key].contract)

    def by_contract(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """The keys by the contract of their models, in order; contracts as JSON."""
        groups: dict[str, list[str]] = {}
        for key in keys:
            groups.setdefault(self._models[key].contract, []).append(key)
        return groups

    def run(self, keys: Sequence[str], features: Sequence[Float32Array]) -> list[Predictions | Failure]:
        """Run models on features of their own.

        Parameters
        ----------
        keys : models to run, each once.
        features : [n, k] per model, the columns of its contract.

        Returns
        -------
        One result per key; a model that cannot be run is a Failure and affects no other model.
        """
        inputs = dict(zip(keys, features, strict=True))
        intact = [key for key in keys if key not in self.refused]
        results: dict[str, Predictions | Failure] = {
            key: Failure(f"the model is not run: {self.refused[key].reason}") for key in keys if key in self.refused
        }
        for contract, group in self.by_contract(intact).items():
            outputs = self._loaded(tuple(group), contract).run([inputs[key] for key in group])
            results.update(zip(group, map(_described, outputs), strict=True))
        return [results[key] for key in keys]

    def forecast(self, series: Series, future: FloatArray) -> list[Predictions | Failure]:
        """Forecast every series with the model of its key, one result of H steps per series.

        future : covariates of the periods after the series, [S, H, K].
        """
        place = {key: index for index, key in enumerate(series.segments)}
        results: dict[str, Predictions | Failure] = {}
        for group in self.by_contract(series.segments).values():
            index = [place[key] for key in group]
            whole = len(index) == len(place)
            part, ahead = (series, future) if whole else (series.take(index), future[index])
            parameters = [self._models[key].parameters for key in group]
            contract = self.contract(group[0])
            outputs = self.run(group, list(features_at_end(part, parameters, ahead, contract)))
            if contract.centred:
                outputs = list(map(partial(_from_centre, contract), outputs, parameters))
            results.update(zip(group, outputs, strict=True))
        return [results[key] for key in series.segments]


@dataclass(frozen=True)
class Champions:
    """The models of a release, loaded: of segments, and of fallback levels by level key."""

    segments: LoadedModels[Champion]
    levels: LoadedModels[Champion]


def _from_centre(contract: FeatureSpec, outputs: Predictions | Failure, parameters: str) -> Predictions | Failure:
    if isinstance(outputs, Failure):
        return outputs
    return outputs.from_centre(centre_of(json.loads(parameters)), contract.minimum)


def _described(outputs: Predictions | Failure) -> Predictions | Failure:
    if isinstance(outputs, Failure):
        return Failure(f"the model cannot be run: {' '.join(outputs.reason.split())[:200]}")
    return outputs
