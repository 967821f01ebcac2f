"""Call a function in a process of its own, whose death is an answer and not an end of the caller."""

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cloudpickle  # type: ignore[import-untyped]

__all__ = ["call_in_child", "worker_memory"]

T = TypeVar("T")
_MIN_MEMORY_BYTES = 512 << 20
_ORPHAN_CHECK_S = 1.0


def worker_memory() -> int:
    """Return the memory limit of this Dask worker in bytes; 0 if there is none, or this is no worker."""
    from distributed import get_worker  # Imported here: a command that ingests nothing does without Dask.

    try:
        return int(get_worker().memory_manager.memory_limit or 0)
    except (ValueError, AttributeError):
        return 0


def call_in_child(function: Callable[..., T], *arguments: object, memory: int = 0) -> T | None:
    """Return the result of a function that runs in a process of its own; None if that ends without an answer.

    memory : bytes that the process may take; 0: any. An error of the function is raised here.
    """
    with tempfile.TemporaryDirectory(prefix="myriad-child-") as folder:
        call, answer = Path(folder) / "call", Path(folder) / "answer"
        call.write_bytes(cloudpickle.dumps((function, arguments, memory)))
        subprocess.run(  # noqa: S603 - this interpreter and our own module
            [sys.executable, "-m", "adapters.compute.child_process", str(call), str(answer)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if not answer.exists():
            return None
        result, error = cloudpickle.loads(answer.read_bytes())
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _answer(call: Path, answer: Path) -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    function, arguments, memory = cloudpickle.loads(call.read_bytes())
    if memory:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (max(memory, _MIN_MEMORY_BYTES), most))
    result: object = None
    error: Exception | None = None
    try:
        result = function(*arguments)
    except MemoryError:
        return
    except Exception as exc:  # noqa: BLE001 - raised again by the caller
        error = exc
    draft = answer.with_suffix(".draft")
    draft.write_bytes(cloudpickle.dumps((result, error)))
    draft.replace(answer)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: nobody waits for the answer."""
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK_S)
    os._exit(1)


if __name__ == "__main__":
    _answer(Path(sys.argv[1]), Path(sys.argv[2]))
