"""What a run of a fleet leaves in MLflow beside its models: parameters, metrics, files and its data."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapters.registry.types import fitted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Run

NOTE_TAG = "mlflow.note.content"
_COUNTER = "seconds"
"""Metric of every run, by whose history the steps are counted."""
_MOST_PARAM_CHARS = 500


@dataclass(frozen=True)
class TrainingData:
    """The data of a run. source : address of the table. digest : of its version, at most 36 characters."""

    name: str
    digest: str
    source: str
    rows: int


@dataclass(frozen=True)
class RunRecord:
    """Record of one run. texts : content by file name. Metrics that are None are left out."""

    description: str
    params: Mapping[str, str]
    metrics: Mapping[str, float | None]
    texts: Mapping[str, str] = field(default_factory=dict)
    data: TrainingData | None = None

    @property
    def known_metrics(self) -> dict[str, float]:
        """Metrics that have a value."""
        return {key: value for key, value in self.metrics.items() if value is not None and math.isfinite(value)}


def log_record(client: "MlflowClient", run: "Run", record: RunRecord) -> None:
    """Log a record to a run; parameters that it has already stay, since MLflow refuses to change them."""
    from mlflow.entities import Param, RunTag

    run_id, known = str(run.info.run_id), run.data.params
    params = [Param(key, value[:_MOST_PARAM_CHARS]) for key, value in record.params.items() if key not in known]
    tags = [RunTag(key, value) for key, value in fitted({NOTE_TAG: record.description}).items()]
    client.log_batch(run_id, metrics=_metrics(record, 0), params=params, tags=tags)
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    if record.data is not None:
        client.log_inputs(run_id, datasets=[_dataset(record.data)])


def log_history(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    """Log the metrics once more as the next step of the run that collects those of all runs, for its charts."""
    client.log_batch(run_id, metrics=_metrics(record, len(client.get_metric_history(run_id, _COUNTER))))


def _metrics(record: RunRecord, step: int) -> "list[Metric]":
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(key, value, now_ms, step) for key, value in record.known_metrics.items()]


def _dataset(data: TrainingData) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, profile = json.dumps({"uri": data.source}), json.dumps({"num_rows": data.rows})
    dataset = Dataset(data.name, data.digest, "delta_table", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
