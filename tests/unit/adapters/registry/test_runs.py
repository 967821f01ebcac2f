"""Runs: a training and its buckets as MLflow runs that resume."""

from registry_store import BOTH, Open, client, entries, registered


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
