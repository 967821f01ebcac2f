"""Ingest new and changed files, each exactly once, and keep the ledger of them."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import pyarrow as pa

from adapters.compute.progress import Progress, emit
from adapters.lake.local_files import confined_to
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from adapters.sources.kinds import list_inputs
from adapters.sources.protocol import Listing, SourceInput, ledger_stamp, listed_stamp
from domain.config.source import Source
from domain.data.tables import INPUTS, QUARANTINE, landed
from domain.errors import NoFilesError, SourceError
from tasks.checkpoint import clear_checkpoints, map_with_checkpoints
from tasks.context import Run
from tasks.workers.ingest import FileReceipt, Role, content_id, landing_table, reading, refuse_file
from tasks.workers.isolated_ingest import ingest_once

__all__ = ["IngestReceipt", "ingest_files"]


_MOST_REMARKS = 5


@dataclass(frozen=True)
class IngestReceipt:
    """Files and rows of one ingest. read = accepted + rejected.

    refused : reason per refused file: it cannot be read, or is a copy of another file. Its former rows stay.
    """

    files: int
    unchanged: int
    refused: tuple[str, ...]
    read: int
    accepted: int
    rejected: int
    reasons: Mapping[str, int] = field(default_factory=dict)


def ingest_files(
    run: Run, role: Role, source: Source, paths: Sequence[str] | None = None, max_rejected_share: float = 1.0
) -> IngestReceipt:
    """Land the source's new and changed files; a changed file replaces its own rows.

    paths : files, folders or globs in place of the source's path. max_rejected_share : limit for the rejected share of
    the rows; above it nothing is landed.

    A file also counts as new if the fleet now reads it in another way. The same content counts once, under one path;
    files to score have a rule of their own. The partitions of the `landed` table are the ledger: they change with the
    rows, in one commit. Raises SourceError if no file can be read, or too many rows are rejected.
    """
    how = reading(run.fleet, role, source)
    landed_before = _ledger(run, role)
    listing = _listed(run, source, paths or [source.path], landed_before)
    missing = listing.unusable
    if role == "requests" and not paths and listing.owned and not listing.inputs:
        missing = ()  # A table of rows to score may be empty: there is nothing to score now.
    if not listing.inputs and not listing.owned:
        if role == "requests" and not paths and _has_no_file(run, source):
            return _nothing_yet(missing)
        raise SourceError("\n".join(missing))
    files = [replace(file, stamp=ledger_stamp(file.stamp, how)) for file in listing.inputs]
    fresh = _fresh(run, role, files)
    receipts = map_with_checkpoints(
        run,
        "ingest",
        [source.model_dump(mode="json"), list(paths or ())],
        partial(ingest_once, run.context, role, source),
        fresh,
        FileReceipt,
        key=_place_and_stamp,
        keep=_could_be_read,
        part=role,
    )
    taken: Set[str] = frozenset()
    if role != "requests":
        receipts, taken = _once(run, role, files, receipts)
    errors = (*missing, *(receipt.error for receipt in receipts if receipt.error))
    if errors and len(errors) == len(files) + len(missing):
        raise SourceError("\n".join(errors))
    left = listing.gone([row["path"] for row in landed_before.values()])
    taken |= {path_id for path_id, row in landed_before.items() if row["path"] in left}
    _refuse_rejected(receipts, max_rejected_share)
    # A refusal is forgotten once its file is gone, which only a listing of the whole source can tell.
    gone = None if paths else {file.path_id for file in files}
    _commit(run, role, receipts, taken, gone)
    clear_checkpoints(run, "ingest", role)
    _tell_remarks(receipts)
    reasons: Counter[str] = Counter()
    for receipt in receipts:
        reasons.update(receipt.reasons)
    return IngestReceipt(
        files=len(files),
        unchanged=len(files) - len(fresh),
        refused=errors,
        read=sum(receipt.read for receipt in receipts),
        accepted=sum(receipt.accepted for receipt in receipts),
        rejected=sum(receipt.rejected for receipt in receipts),
        reasons=dict(reasons),
    )


def _has_no_file(run: Run, source: Source) -> bool:
    """Return True if a source has no file yet, and not if it cannot be listed."""
    try:
        with confined_to(run.context.roots):
            list_inputs(source, run.context.home, known={})
    except NoFilesError:
        return True
    except SourceError:
        return False
    return False


def _nothing_yet(missing: Sequence[str]) -> IngestReceipt:
    """The receipt of a source of rows to score that has no file yet, which is told; earlier rows stay."""
    emit(Progress("ingest", 0, 0, f"warning: score.source: {missing[0]}; put files with rows to score there"))
    return IngestReceipt(files=0, unchanged=0, refused=(), read=0, accepted=0, rejected=0)


def _tell_remarks(receipts: Sequence[FileReceipt]) -> None:
    """Warn of what files leave open; of the same in many files once."""
    files = dict[str, str]()
    for receipt in receipts:
        for remark in receipt.remarks:
            files.setdefault(remark, receipt.file.uri)
    for remark, uri in islice(files.items(), _MOST_REMARKS):
        emit(Progress("ingest", 0, 0, f"warning: {uri}: look at {remark}"))


def _listed(run: Run, source: Source, paths: Sequence[str], landed_before: Mapping[str, Mapping[str, Any]]) -> Listing:
    """List the inputs that the paths name, each once; unusable has a message for each path that cannot be read too."""
    known = {row["path"]: listed_stamp(row["stamp"]) for row in landed_before.values()}
    inputs, unusable, owned = dict[str, SourceInput](), list[str](), list[str]()
    for path in paths:
        try:
            with confined_to(run.context.roots):
                listing = list_inputs(source, run.context.home, path, known)
        except SourceError as exc:
            unusable.append(str(exc))
            continue
        inputs |= {item.uri: item for item in listing.inputs}
        unusable += listing.unusable
        owned += listing.owned
    return Listing(tuple(inputs.values()), tuple(unusable), tuple(owned))


def _refuse_rejected(receipts: Sequence[FileReceipt], allowed: float) -> None:
    read, rejected = (sum(getattr(receipt, name) for receipt in receipts) for name in ("read", "rejected"))
    if read and rejected / read > allowed:
        reasons = sum((Counter(receipt.reasons) for receipt in receipts), Counter[str]())
        summary = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(3))
        raise SourceError(
            f"{rejected:,} of {read:,} rows are rejected, more than the share of {allowed:g} that is allowed: "
            f"{summary}; nothing was taken in"
        )


def _place_and_stamp(file: SourceInput) -> str:
    return f"{file.path_id}-{file.stamp}"


def _could_be_read(receipt: FileReceipt) -> bool:
    return not receipt.error


def _fresh(run: Run, role: Role, files: Sequence[SourceInput]) -> list[SourceInput]:
    """Return the files whose current stamp is not in the ledger, and those that failed last time."""
    ledger = {(path_id, row["stamp"]) for path_id, row in _ledger(run, role).items() if not row["error"]}
    return [file for file in files if (file.path_id, file.stamp) not in ledger]


def _ledger(run: Run, role: Role) -> dict[str, dict[str, Any]]:
    """Return the details of the inputs whose rows are in the lake, by path id."""
    present = {(file.partition["path_id"], file.partition["input_id"]) for file in _table(run, role).files()}
    return {row["path_id"]: row for row in _known(run, role) if (row["path_id"], row["input_id"]) in present}


def _known(run: Run, role: Role) -> list[dict[str, Any]]:
    """Return the details of all inputs of a role, including refused ones."""
    return run.table(INPUTS).read(where=lambda partition: partition["role"] == role).to_pylist()  # type: ignore[no-any-return]


def _once(
    run: Run, role: Role, files: Sequence[SourceInput], receipts: Sequence[FileReceipt]
) -> tuple[list[FileReceipt], set[str]]:
    """Refuse copies; return the receipts, and the path ids that lose their rows: copies and files that were moved.

    A path keeps its rows while its file has that content; otherwise the first path by name gets them.
    """
    before = {f.partition["path_id"]: content_id(f.partition["input_id"]) for f in _table(run, role).files()}
    tried = {receipt.file.path_id for receipt in receipts}
    unchanged = {file.path_id: file.uri for file in files if file.path_id not in tried}
    holders: dict[str, str] = {}
    for path_id, uri in unchanged.items():
        holders.setdefault(before[path_id], uri)
    new = {r.file.path_id: content_id(r.input_id) for r in receipts if r.read and not r.error}
    copies: dict[str, str] = {}
    for receipt in sorted(receipts, key=lambda r: (before.get(r.file.path_id) != content_id(r.input_id), r.file.uri)):
        path_id, uri = receipt.file.path_id, receipt.file.uri
        if path_id in new and holders.setdefault(new[path_id], uri) != uri:
            copies[path_id] = holders[new[path_id]]
    contents = set(new.values())
    moved = {path_id for path_id, content in before.items() if content in contents} - unchanged.keys() - new.keys()
    receipts_kept = [_refused_copy(run, role, r, copies.get(r.file.path_id)) for r in receipts]
    return receipts_kept, moved | copies.keys()


def _refused_copy(run: Run, role: Role, receipt: FileReceipt, of: str | None) -> FileReceipt:
    if of is None:
        return receipt
    error = f"{receipt.file.uri}: same content as {of}; it counts once"
    return refuse_file(run.context, role, receipt.file, receipt.input_id, "copied_file", error)


def _table(run: Run, role: Role) -> Table:
    return run.table(landed(run.fleet, landing_table(role)))


def _commit(run: Run, role: Role, receipts: Sequence[FileReceipt], taken: Set[str], listed: Set[str] | None) -> None:
    """Commit rejected rows and the ledger's details first, and the rows last: only they make an input count.

    A file that cannot be read now keeps its former accepted rows, rejected rows, and counts.
    taken : path ids that lose them: another path has their content, or they left the source.
    listed : path ids that have a file now; the refusal of a file is forgotten once it is gone. None if that is unknown.
    """
    refused = {row["path_id"] for row in _known(run, role) if row["error"]}
    forgotten = set[str]() if listed is None else refused - listed
    tried = {receipt.file.path_id for receipt in receipts} | taken | forgotten
    landed_now = {receipt.file.path_id for receipt in receipts if not receipt.error}
    replaced = landed_now | taken
    outdated = replaced | {f"{path_id}-unreadable" for path_id in tried}
    before = {path_id: row for path_id, row in _ledger(run, role).items() if path_id not in taken}

    def rejected_of_these(file: StagedFile) -> bool:
        return file.partition["stage"] == role and file.partition["part"] in outdated

    def details_of_these(file: StagedFile) -> bool:
        return file.partition["role"] == role and file.partition["path_id"] in tried

    run.table(QUARANTINE).replace([file for receipt in receipts for file in receipt.quarantined], rejected_of_these)
    inputs = run.table(INPUTS)
    rows_of = {
        path_id: pa.Table.from_pylist([row | {"error": ""}], INPUTS.file_schema)
        for path_id, row in before.items()
        if path_id in forgotten
    }
    rows_of |= {r.file.path_id: _input_row(r, before.get(r.file.path_id)) for r in receipts}
    details = [inputs.stage(row, role=role, path_id=path_id) for path_id, row in rows_of.items()]
    inputs.replace(details, details_of_these)
    rows = [file for receipt in receipts if not receipt.error for file in receipt.rows]
    note = {"run_id": run.context.run_id, "files": str(len(landed_now))}
    _table(run, role).replace(rows, lambda file: file.partition["path_id"] in replaced, note=note)


def _input_row(receipt: FileReceipt, before: Mapping[str, Any] | None) -> pa.Table:
    if receipt.error and before:
        return pa.Table.from_pylist([dict(before) | {"error": receipt.error}], INPUTS.file_schema)
    row = {
        "path": receipt.file.uri,
        "stamp": receipt.file.stamp,
        "input_id": receipt.input_id,
        "bytes": receipt.file.size,
        "rows_read": receipt.read,
        "rows_accepted": receipt.accepted,
        "rows_quarantined": receipt.rejected,
        "error": receipt.error,
        "modified_at": datetime.fromtimestamp(receipt.file.modified, UTC) if receipt.file.modified else None,
        "ingested_at": datetime.now(UTC),
    }
    return pa.Table.from_pylist([row], INPUTS.file_schema)
