"""What a flow opens first: alone where it must be."""

import pytest
import yaml
from shop import shop

from adapters.lake.lease import hold_lease
from adapters.lake.table import Lake
from domain.data.tables import LEASES
from domain.errors import BusyError
from flows.session import open_session


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
