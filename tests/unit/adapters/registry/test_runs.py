"""Runs: a training and its buckets as MLflow runs that resume."""

from registry_store import BOTH, Open, client, entries, registered

from adapters.registry import RunRecord, TrainingData


@BOTH
def test_training_and_buckets_are_runs_that_resume(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent = registry.start_training("m3", "2026-01", {"rows": "12"})
    assert registry.start_training("m3", "2026-01", {}) == parent
    assert registry.start_training("m3", "2026-02", {}) != parent
    for _ in range(2):
        registered(registry, parent, 7, entries(1), {"smape": 13.5})
    registry.finish_training(parent, {"trained": 1.0})
    seen = client(registry)
    experiment = seen.get_experiment_by_name("m3")
    assert experiment is not None
    children = seen.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [(run.data.tags["myriad.bucket"], run.info.status, run.data.metrics) for run in children] == [
        ("7", "FINISHED", {"smape": 13.5})
    ]
    assert len(seen.get_metric_history(children[0].info.run_id, "smape")) == 1
    assert seen.get_run(parent).info.status == "FINISHED"
    assert registry.start_training("m3", "2026-01", {}) == parent
    assert seen.get_run(parent).info.status == "RUNNING"
    registry.finish_training(parent, {}, failed=True)
    assert seen.get_run(parent).info.status == "FAILED"


@BOTH
def test_runs_of_others_below_a_training_are_left_alone(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent, seen = registry.start_training("m3", "k", {}), client(registry)
    experiment = seen.get_run(parent).info.experiment_id
    tags = {"mlflow.parentRunId": parent}
    foreign = [
        seen.create_run(experiment, tags={**tags, **more}).info.run_id for more in ({}, {"myriad.bucket": "mine"})
    ]
    registered(registry, parent, -1, entries(1), {"models": 1.0})
    (version,) = seen.search_model_versions()
    assert version.run_id not in foreign
    assert {seen.get_run(one).info.status for one in foreign} == {"RUNNING"}


def record(error: float, rows: int) -> RunRecord:
    data = TrainingData("m3/observations", "version 3", "s3://lake/m3/observations", rows)
    metrics = {"error": error, "rows": float(rows), "test_error": None, "coverage": float("nan"), "seconds": 2.0}
    texts = {"report.html": "<title>m3</title>", "fleet.yaml": "name: m3"}
    return RunRecord("run of m3", {"fleet": "m3", "candidates": "ridge" * 1000}, metrics, texts, data)


@BOTH
def test_a_run_is_recorded_with_what_people_compare(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent = registry.start_training("m3", "run-1", {})
    for error in (0.4, 0.4):  # A run that is repeated may be recorded again.
        registry.record_run("m3", "run-1", record(error, 9))
    seen = client(registry)
    run = seen.get_run(parent)
    assert (run.info.status, run.data.params["fleet"]) == ("FINISHED", "m3")
    assert run.data.metrics == {"error": 0.4, "rows": 9.0, "seconds": 2.0}
    assert run.data.tags["mlflow.note.content"] == "run of m3"
    assert {file.path for file in seen.list_artifacts(parent)} >= {"report.html", "fleet.yaml"}
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("m3/observations", "version 3")


def test_the_history_has_a_step_per_run(opened: Open) -> None:
    registry = opened("bulk")
    for number, error in enumerate((0.4, 0.3, 0.2)):
        registry.record_run("m3", f"run-{number}", record(error, number))
    seen = client(registry)
    experiment = seen.get_experiment_by_name("m3")
    assert experiment is not None
    (history,) = seen.search_runs([experiment.experiment_id], "tags.`myriad.history` = 'true'")
    points = seen.get_metric_history(history.info.run_id, "error")
    assert [(point.step, point.value) for point in points] == [(0, 0.4), (1, 0.3), (2, 0.2)]
    assert history.info.run_name == "history of m3"


def test_experiments_are_of_model_training_also_those_that_were_there_before(opened: Open) -> None:
    registry = opened("bulk")
    seen = client(registry)
    seen.create_experiment("old", tags={"mlflow.note.content": "by hand"})
    for fleet, note in (("m3", "Fleet **m3**"), ("old", "by hand")):
        registry.start_training(fleet, "k", {})
        experiment = seen.get_experiment_by_name(fleet)
        assert experiment is not None
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
        assert experiment.tags["mlflow.note.content"].startswith(note)
