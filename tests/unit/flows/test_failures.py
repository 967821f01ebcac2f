"""Errors of files and of Prefect become messages with a way out; defects keep their traceback."""

import errno

import httpx
import pytest

from flows.failures import explain_failure


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/srv/var/lake"), "/srv/var/lake: Read-only file system"),
        (httpx.ConnectError("refused"), "Prefect's server does not answer: refused"),
        (RuntimeError("Failed to reach API at http://nowhere/api"), "run with PREFECT_API_URL= (empty)"),
        (RuntimeError("Timed out while waiting for the ephemeral Prefect API server"), "myriad up"),
    ],
)
def test_a_failure_of_the_surroundings_is_explained(error, words):
    assert words in explain_failure(error)


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.ENOENT, "No such file", "/srv/x"), OSError()])
def test_a_defect_is_not_explained_away(error):
    assert explain_failure(error) is None
