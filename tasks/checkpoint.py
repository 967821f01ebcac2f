"""Resume a stage: items that workers finished before an interruption are not repeated.

A worker stores the receipt of each finished item in the checkpoints of the stage. A run that repeats the work reuses
the receipts whose staged files still exist, and maps the rest. After the commit, `clear_checkpoints` deletes them.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from adapters.compute.code_version import code_digest
from adapters.compute.progress import Progress, emit
from adapters.lake.checkpoints import Checkpoints
from adapters.lake.staged_file import StagedFile
from domain.errors import LakeError
from tasks.context import Run

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance)
else:
    R = TypeVar("R")

__all__ = ["clear_checkpoints", "map_with_checkpoints"]

T = TypeVar("T")
_THREADS = 16
"""Entries are small; what takes time is the storage's answer."""


@dataclass(frozen=True)
class _Recorded(Generic[T, R]):
    """Process an item on a worker and store its receipt."""

    checkpoints: Checkpoints
    function: Callable[[T], R]
    receipt_type: type[R]
    key: Callable[[T], str]
    keep: Callable[[R], bool]

    def __call__(self, item: T) -> R:
        receipt = self.function(item)
        if self.keep(receipt):
            content = _adapter(self.receipt_type).dump_python(receipt, mode="json")
            self.checkpoints.write(self.key(item), json.dumps(content).encode())
        return receipt


def _always(receipt: object) -> bool:
    return True


def map_with_checkpoints(
    run: Run,
    stage: str,
    basis: object,
    function: Callable[[T], R],
    items: Sequence[T],
    receipt_type: type[R],
    *,
    key: Callable[[T], str] = str,
    keep: Callable[[R], bool] = _always,
    part: str = "",
    weight: Callable[[T], float] | None = None,
) -> list[R]:
    """Map a function over items on workers, except those that an interrupted run finished; return all receipts.

    Parameters
    ----------
    basis : everything besides the item that a receipt depends on, as JSON: versions of the tables read, settings.
    This function adds the fleet file and the code.
    receipt_type : a frozen dataclass that holds its staged files in fields that are tuples. Files of a table
    partitioned by `run_id` are copied to this run.
    key : identity of an item. keep : decides if a receipt is stored; an item with an error is tried again.
    part : distinguishes checkpoints of one stage that end separately. Functions must be picklable.
    weight : relative work of an item; the heaviest items start first.
    """
    checkpoints = _checkpoints_of(run, stage, part, basis)
    receipts = _load(run, checkpoints, {key(item) for item in items}, receipt_type)
    missing = [item for item in items if key(item) not in receipts]
    work = _Recorded(checkpoints, function, receipt_type, key, keep)
    done = len(items) - len(missing)
    if done:
        emit(Progress(stage, done, len(items), f"resumed {done} of {len(items)}"))
    # Called even with nothing left to do, so that the progress of the stage ends at the full number.
    fresh = run.workers.map(stage, work, missing, before=done, weight=weight) if missing or not done else []
    receipts |= {key(item): receipt for item, receipt in zip(missing, fresh, strict=True)}
    return [receipts[key(item)] for item in items]


def clear_checkpoints(run: Run, stage: str, part: str = "") -> None:
    """Delete the checkpoints of a stage on any basis: its work is committed, or must not be resumed."""
    _checkpoints_of(run, stage, part, None).clear()


def _checkpoints_of(run: Run, stage: str, part: str, basis: object) -> Checkpoints:
    fleet = run.fleet.model_dump(mode="json", exclude={"sink"})
    content = json.dumps([basis, fleet, code_digest()], sort_keys=True, default=str)
    digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
    name = f"{stage}-{part}" if part else stage
    return Checkpoints(f"{run.context.lake.folder(run.fleet.name)}/_journal", name, digest)


@cache
def _adapter(receipt_type: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(receipt_type)


def _load(run: Run, checkpoints: Checkpoints, keys: set[str], receipt_type: type[R]) -> dict[str, R]:
    """Read the receipts that can be reused, by key."""
    names = checkpoints.names()
    names_kept = sorted(key for key in keys if checkpoints.name(key) in names)
    with ThreadPoolExecutor(_THREADS) as pool:
        receipts = pool.map(lambda key: _take_over(run, checkpoints.read(key), receipt_type), names_kept)
        return {key: receipt for key, receipt in zip(names_kept, receipts, strict=True) if receipt is not None}


def _take_over(run: Run, content: bytes | None, receipt_type: type[R]) -> R | None:
    """Turn a stored receipt into one of this run; None if it is damaged, or its staged files are missing or differ."""
    try:
        receipt: R = _adapter(receipt_type).validate_python(json.loads(content or b""))
    except (ValueError, ValidationError):
        return None
    try:
        if not all(run.context.lake.holds(run.fleet.name, file) for _, files in _staged(receipt) for file in files):
            return None
        own_files = {name: tuple(_of_run(run, file) for file in files) for name, files in _staged(receipt)}
    except LakeError:
        return None
    return replace(receipt, **own_files)


def _staged(receipt: R) -> Iterator[tuple[str, tuple[StagedFile, ...]]]:
    for field in fields(receipt):
        value = getattr(receipt, field.name)
        if isinstance(value, tuple) and any(isinstance(item, StagedFile) for item in value):
            yield field.name, value


def _of_run(run: Run, file: StagedFile) -> StagedFile:
    """Copy the file to this run: the interrupted run may have committed the original under its own name."""
    owner: Mapping[str, str] = {"run_id": run.context.run_id}
    if file.partition.get("run_id", run.context.run_id) == run.context.run_id:
        return file
    return run.context.lake.copy(run.fleet.name, file, {**file.partition, **owner})
