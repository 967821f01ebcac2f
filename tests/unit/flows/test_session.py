"""What a flow opens first: alone where it must be."""

import re
from uuid import UUID

import pytest
import yaml
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from shop import shop

from adapters.lake.lease import hold_lease
from adapters.lake.table import Lake
from domain.data.tables import LEASES
from domain.errors import BusyError
from flows.artifacts import summarise
from flows.session import open_session, run_name


@pytest.fixture
def project(tmp_path, monkeypatch, workers):
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True)))
    monkeypatch.setenv("MYRIAD_HOME", str(tmp_path))
    monkeypatch.setattr("adapters.compute.dask._open", [workers])
    return Lake(str(tmp_path / "var/lake"))


def test_an_exclusive_session_is_refused_while_another_run_is_at_work(project):
    with hold_lease(project, "shop", "run-1", "train"):
        refused = pytest.raises(BusyError, match=r"fleet shop is busy: run run-1 \(train\)")
        with refused, open_session("shop.yaml", None, "run-2", exclusive=True):
            pytest.fail("two runs at once")
        with open_session("shop.yaml", None, "run-2") as session:
            assert session.run.context.run_id == "run-2"


def test_an_exclusive_session_within_one_that_is_not_takes_the_lease(project):
    with open_session("shop.yaml", None, "run-1"), hold_lease(project, "shop", "run-2", "train"):
        refused = pytest.raises(BusyError, match="run run-2")
        with refused, open_session("shop.yaml", None, "run-1", exclusive=True):
            pytest.fail("two runs at once")


def test_sessions_of_one_run_share_its_lease(project):
    leases = project.table("shop", LEASES)
    with open_session("shop.yaml", None, "run-1", exclusive=True):
        with open_session("shop.yaml", None, "run-1", exclusive=True):
            pass
        assert leases.read(["run_id"])["run_id"].to_pylist() == ["run-1"]
    assert leases.read().num_rows == 0


def test_a_run_is_named_after_its_run_id_and_tagged_with_its_fleet(project, prefect_server):
    @flow(name="score", flow_run_name=run_name)
    def inner(fleet, lake=None, run_id=None):
        with open_session(fleet, lake, run_id):
            return flow_run.id

    @flow(name="pipeline", flow_run_name=run_name)
    def outer(fleet, lake=None, run_id=None):
        with open_session(fleet, lake, "run-7"):
            return flow_run.id, inner(fleet, lake, "run-7")

    with temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}):
        ids = outer("shop.yaml")
        with get_client(sync_client=True) as client:
            whole, part = (client.read_flow_run(UUID(run)) for run in ids)
    assert re.fullmatch(r"pipeline-shop-\d{8}T\d{6}", whole.name)
    assert part.name == "score-shop-run-7"
    assert [set(run.tags) for run in (whole, part)] == [{"myriad", "shop"}] * 2


def test_a_stage_says_in_the_log_of_its_run_what_it_did(prefect_server, caplog):
    @flow
    def counted():
        summarise("shop", "score", {"rows": 12, "segments": 3})

    with temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_TO_API_ENABLED: False}):
        counted()
    assert "score of shop: rows 12, segments 3" in caplog.text
