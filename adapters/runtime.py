"""Models run for scoring: outputs in float64, and errors of scoring's own kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.arrays import Float32Array
from domain.errors import ExportError, ScoringError
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.runtime import Predictions, run_each, run_graph

__all__ = ["Scores", "predict", "predict_each"]


@dataclass(frozen=True)
class Scores:
    """Outputs of a model, each float64 [n], in the target's own unit."""

    prediction: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]


def predict(graph: bytes, features: Float32Array) -> Scores:
    """Run one model on features [n, k].

    Raises ScoringError if the graph cannot be run.
    """
    try:
        return _scores(run_graph(graph, features))
    except ExportError as exc:
        raise ScoringError(_told(exc)) from exc


def predict_each(
    graphs: Sequence[bytes], features: Sequence[Float32Array], contract: FeatureSpec
) -> list[Scores | ScoringError]:
    """Run every model on features of its own, [n, k] each; one that cannot be run gives an error instead."""
    found = run_each(graphs, features, contract)
    return [ScoringError(_told(one)) if isinstance(one, ExportError) else _scores(one) for one in found]


def _scores(outputs: Predictions) -> Scores:
    return Scores(*(part.astype(np.float64) for part in (outputs.prediction, outputs.lower, outputs.upper)))


def _told(error: ExportError) -> str:
    return f"the model cannot be run: {' '.join(str(error.__cause__ or error).split())[:200]}"
