"""Ingest files of which some may end their worker: a file that did so once is read in a process of its own.

An entry in the lake marks every file that is being read. Who finds one begins a file whose reader has died: by the
file, or with its host. So the file is read in a child process with the memory of a worker. If that ends as well while
the worker lives, the file is at fault; it is refused by name, and later runs do not read it until it changes.
"""

import json
from contextlib import suppress
from dataclasses import dataclass

from adapters.compute.child_process import call_in_child, worker_memory
from adapters.lake.checkpoints import Checkpoints
from adapters.sources.protocol import SourceInput
from domain.config.source import Source
from tasks.workers.ingest import FileReceipt, Role, ingest_file, refuse_file
from tasks.workers.run_context import RunContext

__all__ = ["Suspects", "ingest_once", "suspects_of"]


@dataclass(frozen=True)
class Suspects:
    """Marks of files. begun : being read, or their reader has died. refused : known to end their reader."""

    begun: Checkpoints
    refused: Checkpoints


def suspects_of(context: RunContext, role: Role) -> Suspects:
    """Return the marks of a fleet's files of one role."""
    root = f"{context.lake.folder(context.fleet.name)}/_suspects"
    return Suspects(Checkpoints(root, "begun", role), Checkpoints(root, "refused", role))


def ingest_once(context: RunContext, role: Role, source: Source, file: SourceInput) -> FileReceipt:
    """Ingest a file as `ingest_file` does; refuse it if it ends the process that reads it."""
    suspects, key = suspects_of(context, role), f"{file.path_id}-{file.stamp}"
    memory = worker_memory()
    verdict = suspects.refused.read(key)
    if verdict is not None and not _more_memory(verdict, memory):
        return _refused(context, role, file, memory)
    died = verdict is not None or suspects.begun.read(key) is not None
    suspects.begun.write(key, b"{}")
    try:
        if not died:
            return ingest_file(context, role, source, file)
        receipt = call_in_child(ingest_file, context, role, source, file, memory=memory)
        if receipt is None:
            suspects.refused.write(key, json.dumps({"memory": memory}).encode())
            return _refused(context, role, file, memory)
        suspects.refused.drop(key)
        return receipt
    finally:
        # Also after an error, which is no death: only a reader that could not come here leaves the mark.
        suspects.begun.drop(key)


def _more_memory(verdict: bytes, memory: int) -> bool:
    with suppress(ValueError, TypeError, AttributeError):
        return memory > int(json.loads(verdict)["memory"])
    return True


def _refused(context: RunContext, role: Role, file: SourceInput, memory: int) -> FileReceipt:
    limit = f" with {memory:,} bytes of memory" if memory else ""
    error = (
        f"{file.uri}: its reader died twice, the second time in a process of its own{limit}; it is not read again "
        "until it changes: replace or remove it, or raise MYRIAD_WORKER_MEMORY"
    )
    return refuse_file(context, role, file, "", "unreadable_file", error)
