"""Results of scoring runs in the lake, one small file per run, and heartbeats of running ones."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from adapters.lake.errors import unusable
from adapters.lake.files import STORAGE_ERRORS, arrow_filesystem, open_file, put_file
from adapters.lake.table import Lake
from domain.gateway.job_result import JobResult, job_result_json, parse_job_result

__all__ = ["heartbeat", "last_heartbeat", "read_job_result", "write_job_result"]

_FOLDER = "_jobs"
_ALIVE = "_alive"
HEARTBEAT_S = 10.0
_LOG = logging.getLogger(__name__)


def write_job_result(lake: Lake, result: JobResult) -> None:
    """Write the result of a run, in place of an earlier one. Raises an OSError if the storage refuses."""
    put_file(f"{lake.folder(result.fleet)}/{_FOLDER}", f"{result.run_id}.json", job_result_json(result).encode())


def read_job_result(lake: Lake, fleet: str, run_id: str) -> JobResult | None:
    """Return the result of a run; None if it has left none. Raises LakeError if the lake cannot be read."""
    content = _content(f"{lake.folder(fleet)}/{_FOLDER}/{run_id}.json")
    return None if content is None else parse_job_result(content)


@contextmanager
def heartbeat(lake: Lake, fleet: str, run_id: str) -> Iterator[None]:
    """Renew a small file while the block runs, so that a waiting process can distinguish this run from a killed one.

    A heartbeat that cannot be written is left out and does not end the run.
    """
    over = threading.Event()

    def beat() -> None:
        while True:
            try:
                put_file(_alive(lake, fleet), run_id, datetime.now(UTC).isoformat().encode())
            except STORAGE_ERRORS as exc:
                _LOG.debug("no sign of life of %s: %s", run_id, exc)
            if over.wait(HEARTBEAT_S):
                return

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(HEARTBEAT_S)
        with suppress(*STORAGE_ERRORS):
            filesystem, path = arrow_filesystem(f"{_alive(lake, fleet)}/{run_id}")
            filesystem.delete_file(path)


def last_heartbeat(lake: Lake, fleet: str, run_id: str) -> datetime | None:
    """Return the time of a run's last heartbeat; None without one. Raises LakeError if the lake cannot be read."""
    content = _content(f"{_alive(lake, fleet)}/{run_id}")
    return None if content is None else datetime.fromisoformat(content.decode())


def _content(uri: str) -> bytes | None:
    """Return the content of a file; None if it does not exist. A store that is unreachable raises instead."""
    with unusable(uri, "read"):
        try:
            with open_file(uri) as stream:
                return stream.read()
        except FileNotFoundError:
            return None


def _alive(lake: Lake, fleet: str) -> str:
    return f"{lake.folder(fleet)}/{_ALIVE}"
