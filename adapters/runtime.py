"""ONNX Runtime sessions for scoring."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.errors import ScoringError

__all__ = ["Scores", "predict"]


@dataclass(frozen=True)
class Scores:
    """Outputs of a model, each float64 [n], in the target's own unit."""

    prediction: npt.NDArray[np.float64]
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]


def predict(graph: bytes, features: npt.NDArray[np.float32]) -> Scores:
    """Run one model on features [n, k]. One thread: workers run many models side by side.

    Raises ScoringError if the graph cannot be run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        outputs = session.run(["prediction", "lower", "upper"], {"features": features})
    except Exception as exc:
        # The runtime's errors have no base class but Exception.
        told = " ".join((str(exc) or type(exc).__name__).split())
        raise ScoringError(f"the model cannot be run: {told[:200]}") from exc
    return Scores(*(output[:, 0].astype(np.float64) for output in outputs))
