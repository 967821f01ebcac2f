"""MLflow runs: one per training, below it one per bucket, and the files of a bucket's models."""

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.registry.direct_access import DirectAccess
from adapters.registry.mlflow_client import is_error
from adapters.registry.mlmodel import ModelDirectory, write_directories
from adapters.registry.run_record import NOTE_TAG, RunRecord, log_history, log_record
from adapters.registry.types import fitted
from domain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_TAG = "mlflow.parentRunId"
RUN_KEY_TAG = "myriad.run_key"
FLEET_TAG = "myriad.fleet"
BUCKET_TAG = "myriad.bucket"
HISTORY_TAG = "myriad.history"
_KIND_TAG, _KIND = "mlflow.experimentKind", "custom_model_development"
"""Kind by which MLflow shows an experiment as one of model training, instead of asking each visitor."""
_METRICS_PER_CALL = 1000  # MLflow's limit


class Runs:
    """Runs of an MLflow store. Each is looked up by its tags first, so that every step may be repeated."""

    def __init__(self, client: "MlflowClient", artifact_root: str | None, direct_access: DirectAccess) -> None:
        self._client = client
        self._artifact_root = artifact_root
        self._direct_access = direct_access

    def start(self, fleet: str, run_key: str, tags: Mapping[str, str]) -> str:
        """Start or resume the run of a training, in the experiment named after the fleet; return its id."""
        own = {**fitted(tags), FLEET_TAG: fleet, RUN_KEY_TAG: run_key}
        filter_string = f"tags.`{RUN_KEY_TAG}` = {quoted(run_key)}"
        run = self._get_or_create(self._experiment(fleet), filter_string, own, f"train {run_key}")
        self._mark(run, "RUNNING")
        return str(run.info.run_id)

    def record(self, fleet: str, run_key: str, record: RunRecord) -> None:
        """Log the record of a run to the run of its training, and its metrics to the history of the fleet."""
        run_id = self.start(fleet, run_key, {})
        log_record(self._client, self._client.get_run(run_id), record)
        self._mark(self._client.get_run(run_id), "FINISHED")
        experiment = self._experiment(fleet)
        note = f"Metrics of all runs of fleet {fleet}, one step per run."
        tags = {FLEET_TAG: fleet, HISTORY_TAG: "true", NOTE_TAG: note}
        history = self._get_or_create(experiment, f"tags.`{HISTORY_TAG}` = 'true'", tags, f"history of {fleet}")
        log_history(self._client, str(history.info.run_id), record)
        self._mark(history, "FINISHED")

    def buckets(self, parent_run_id: str) -> "BucketRuns":
        """Return the runs of the buckets below a training's run."""
        experiment_id = str(self._client.get_run(parent_run_id).info.experiment_id)
        filter_string, token = f"tags.`{PARENT_TAG}` = {quoted(parent_run_id)}", None
        runs_by_bucket: dict[int, Run] = {}
        while token != "":
            page = self._client.search_runs(
                [experiment_id],
                filter_string,
                order_by=["attributes.start_time ASC"],
                page_token=token,
                max_results=1000,
            )
            for run in page:
                # Users may have added runs of their own below ours.
                bucket = str(run.data.tags.get(BUCKET_TAG, ""))
                if re.fullmatch(r"-?\d+", bucket):
                    runs_by_bucket.setdefault(int(bucket), run)
            token = page.token or ""
        return BucketRuns(self._client, experiment_id, parent_run_id, runs_by_bucket)

    def finish(self, run_id: str, metrics: Mapping[str, float], failed: bool) -> None:
        """Log the metrics that the run does not have yet, and end it."""
        self.end(self._client.get_run(run_id), metrics, failed)

    def end(self, run: "Run", metrics: Mapping[str, float], failed: bool) -> None:
        """Do the same as `finish`, for a run that has been read already."""
        from mlflow.entities import Metric

        run_id, now_ms = str(run.info.run_id), int(time.time() * 1000)
        known = run.data.metrics
        new = [Metric(key, value, now_ms, 0) for key, value in metrics.items() if known.get(key) != value]
        for start in range(0, len(new), _METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=new[start : start + _METRICS_PER_CALL])
        self._mark(run, "FAILED" if failed else "FINISHED")

    def store(self, run: "Run", directories: Sequence[ModelDirectory]) -> None:
        """Store model directories below the run's artifacts: directly if that is possible, else in one upload."""
        uri = str(run.info.artifact_uri)
        if not directories or self._direct_access.write(uri, directories):
            return
        try:
            with tempfile.TemporaryDirectory(prefix="myriad-models-") as folder:
                write_directories(Path(folder), directories)
                self._client.log_artifacts(str(run.info.run_id), folder)
        except OSError as exc:
            raise RegistryError(f"cannot store {len(directories)} models under {uri}: {exc}") from exc

    def _experiment(self, fleet: str) -> str:
        """Return the id of a fleet's experiment, created if it does not exist; concurrent calls get the same one."""
        from mlflow.exceptions import MlflowException

        location = None if self._artifact_root is None else f"{self._artifact_root.rstrip('/')}/{fleet}"
        experiment, tags = self._client.get_experiment_by_name(fleet), _experiment_tags(fleet)
        if experiment is None:
            try:
                return str(self._client.create_experiment(fleet, artifact_location=location, tags=tags))
            except MlflowException as exc:
                if not is_error(exc, "RESOURCE_ALREADY_EXISTS"):
                    raise
            experiment = self._client.get_experiment_by_name(fleet)
        if experiment is None or experiment.lifecycle_stage != "active":
            raise RegistryError(f"experiment {fleet!r} is deleted in MLflow; restore it or rename the fleet")
        for key in tags.keys() - experiment.tags.keys():  # An experiment of an earlier version.
            self._client.set_experiment_tag(experiment.experiment_id, key, tags[key])
        return str(experiment.experiment_id)

    def _get_or_create(self, experiment_id: str, filter_string: str, tags: dict[str, str], run_name: str) -> "Run":
        """Return the oldest run with these tags. Of two that are created at the same time, the later is deleted.

        If the clocks disagree, two runs may remain, which is harmless: versions are identified by fingerprint.
        """
        oldest = self._oldest(experiment_id, filter_string)
        if oldest is not None:
            return oldest
        created = self._client.create_run(experiment_id, tags=tags, run_name=run_name)
        oldest = self._oldest(experiment_id, filter_string) or created
        if oldest.info.run_id != created.info.run_id:
            self._client.delete_run(created.info.run_id)
        return oldest

    def _oldest(self, experiment_id: str, filter_string: str) -> "Run | None":
        oldest_first = ["attributes.start_time ASC"]
        runs = self._client.search_runs([experiment_id], filter_string, order_by=oldest_first, max_results=100)
        return min(runs, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def _mark(self, run: "Run", status: str) -> None:
        if run.info.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.info.run_id, status=status)
        else:
            self._client.set_terminated(run.info.run_id, status=status)


def _experiment_tags(fleet: str) -> dict[str, str]:
    note = (
        f"Fleet **{fleet}**: one run per training with parameters, metrics, report and fleet file; below it, one "
        f"run per bucket with its models. The run *history of {fleet}* has the metrics of all runs, one step each. "
        "Models in force have the alias `champion`."
    )
    return {_KIND_TAG: _KIND, NOTE_TAG: note}


@dataclass(frozen=True)
class BucketRuns:
    """Runs of a training's buckets: those that existed when it was opened, and new ones.

    ended : buckets whose run has its metrics and has ended; a bucket may be registered in several rounds.
    """

    client: "MlflowClient"
    experiment_id: str
    parent_run_id: str
    runs_by_bucket: dict[int, "Run"]
    ended: set[int] = field(default_factory=set)

    def of(self, bucket: int) -> "Run":
        """Return the run of a bucket, created if it does not exist.

        Two trainings with the same key that open at the same time may create two runs, which is harmless: versions are
        identified by fingerprint.
        """
        if bucket not in self.runs_by_bucket:
            tags = {PARENT_TAG: self.parent_run_id, BUCKET_TAG: str(bucket)}
            self.runs_by_bucket[bucket] = self.client.create_run(
                self.experiment_id, tags=tags, run_name=f"bucket {bucket}"
            )
        return self.runs_by_bucket[bucket]


def quoted(text: str) -> str:
    """Return a string literal of MLflow's search language, which has no escapes."""
    mark = '"' if "'" in text else "'"
    if mark in text:
        raise RegistryError(f"{text!r}: both kinds of quotes in one value; use one at most")
    return f"{mark}{text}{mark}"
