"""The memory limit of a worker."""

import pytest

from adapters.compute.worker_memory import memory_limit
from adapters.settings import LEAST_WORKER_BYTES, Settings
from domain.errors import SettingsError


@pytest.mark.parametrize(("worker_memory", "limit"), [("500MB", LEAST_WORKER_BYTES), ("2GB", 2 * 10**9), ("0", 0)])
def test_a_size_is_the_limit_and_zero_is_none(worker_memory, limit):
    assert memory_limit(Settings(worker_memory=worker_memory)) == limit


def test_a_share_of_the_machine_that_is_too_small_for_any_task_is_refused_with_a_way_out():
    """Dask starts such a worker and gives it nothing: the run would wait forever."""
    with pytest.raises(
        SettingsError, match=r"0\.0001 gives a worker .* it needs 477 MiB; set .*=500MB, and MYRIAD_WORK"
    ):
        memory_limit(Settings(worker_memory="0.0001"))
