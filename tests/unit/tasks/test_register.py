from mlflow import MlflowClient

from domain.data.tables import REGISTRATIONS
from tasks.register import register_challengers


def client(trained):
    return MlflowClient(tracking_uri=trained.registry.tracking_uri)


def test_every_challenger_is_a_registered_version_with_meaningful_tags(trained):
    model = client(trained).get_registered_model("shop.1.amber")
    assert model.tags["segment.store"] == "1"
    assert model.tags["segment.brand"] == "amber"
    assert model.tags["myriad.fleet"] == "shop"
    version = client(trained).get_model_version("shop.1.amber", "1")
    assert {"candidate", "metric", "error", "rows", "myriad.fingerprint", "myriad.run_id"} <= set(version.tags)
    assert client(trained).get_registered_model("shop.fallback.brand-amber").tags["myriad.level"] == "brand"


def test_registering_again_makes_no_second_version(trained):
    run = trained.run("run-2")
    before = sorted(map(str, run.table(REGISTRATIONS).read().to_pylist()))
    summary = register_challengers(run, trained.registry)
    assert (summary.registered, summary.created, summary.levels) == (7, 0, 3)
    assert sorted(map(str, run.table(REGISTRATIONS).read().to_pylist())) == before
    assert len(client(trained).search_model_versions("name='shop.1.amber'")) == 1


def test_one_run_per_training_with_a_child_a_bucket(trained):
    experiment = client(trained).get_experiment_by_name("shop")
    runs = client(trained).search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    assert parents[0].info.status == "FINISHED"
    assert all(run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id for run in runs if run != parents[0])


def test_nothing_new_makes_no_run_in_the_registry(trained):
    run = trained.run("run-2")
    experiment = client(trained).get_experiment_by_name("shop").experiment_id
    before = len(client(trained).search_runs([experiment]))
    assert register_challengers(run, trained.registry).created == 0
    assert len(client(trained).search_runs([experiment])) == before


def test_a_version_that_the_registry_lost_is_made_again(trained):
    run = trained.run("run-2")
    client(trained).delete_registered_model("shop.1.amber")
    summary = register_challengers(run, trained.registry)
    assert (summary.registered, summary.created, summary.levels) == (7, 1, 3)
    assert client(trained).get_model_version("shop.1.amber", "1").tags["candidate"]
