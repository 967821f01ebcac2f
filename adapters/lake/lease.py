"""The lease of a fleet: one run at a time trains, registers, promotes or rolls back.

A row of the table `leases` names the holder. A run acquires the lease by replacing the row, based on the table version
that it has read: of two concurrent attempts, one wins. A thread renews the row. A holder that died on this host is
replaced at once, any other when its lease has expired.
"""

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow as pa

from adapters.lake.table import Lake, Table
from domain.data.tables import LEASES
from domain.errors import BusyError, LakeError, StaleTableError

__all__ = ["at_work", "check_lease", "hold_lease"]

LEASE_S = 240.0
RENEW_S = 60.0
MARGIN_S = 60.0
"""Tolerated clock difference between hosts: a holder relies on its lease for that much less."""
_RETRY_S = 10.0
_SAME_START_S = 2.0
"""The start of a process is computed from the host's clock, which may have been adjusted since."""


@dataclass(frozen=True)
class _Holder:
    """The process that holds a lease. boot : identity of the boot of the host and of its process namespace."""

    host: str
    boot: str
    pid: int
    started: float

    def died_here(self) -> bool:
        """Return whether the process ran on this host and has ended."""
        me = _this_process()
        if (self.host, self.boot) != (me.host, me.boot):
            return False
        try:
            process = psutil.Process(self.pid)
            ended = process.status() == psutil.STATUS_ZOMBIE
            return bool(ended or abs(process.create_time() - self.started) > _SAME_START_S)
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True)
class _Row:
    run_id: str
    what: str
    holder: _Holder
    acquired_at: datetime
    renewed_at: datetime
    expires_at: datetime

    def free(self, now: datetime) -> bool:
        return now > self.expires_at or self.holder.died_here()


class _Lease:
    """A lease that this process holds, perhaps several times over for one run."""

    def __init__(self, table: Table, row: _Row) -> None:
        self.table, self.row = table, row
        self.depth = 0
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Raise BusyError unless this process certainly still holds the lease."""
        now, row = datetime.now(UTC), _read(self.table)
        if not self._is_ours(row) or now > self.row.expires_at - timedelta(seconds=MARGIN_S):
            other = f"; {_describe(row)}" if row and not self._is_ours(row) else ""
            raise BusyError(
                f"{self.table.uri}: run {self.row.run_id} ({self.row.what}) lost its lease, which could not be renewed "
                f"since {_format_time(self.row.renewed_at)}{other}; "
                "nothing more was committed; run the same command again"
            )

    def end(self) -> None:
        """Release the lease. If the table cannot be written now, the lease expires."""
        self._over.set()
        self._renewing.join()
        with suppress(LakeError):
            version, row = self.table.version(), _read(self.table)
            if self._is_ours(row):
                self.table.replace([], lambda file: True, based_on=version)

    def _renew(self) -> None:
        wait_s = RENEW_S
        while not self._over.wait(wait_s):
            try:
                version, row = self.table.version(), _read(self.table)
                if not self._is_ours(row):
                    return
                self.row = _write(self.table, self.row, version)
                wait_s = RENEW_S
            except LakeError:
                wait_s = min(RENEW_S, _RETRY_S)

    def _is_ours(self, row: _Row | None) -> bool:
        return row is not None and (row.run_id, row.holder) == (self.row.run_id, self.row.holder)


_leases: dict[str, _Lease] = {}
_lock = threading.Lock()


@contextmanager
def hold_lease(lake: Lake, fleet: str, run_id: str, what: str) -> Iterator[None]:
    """Hold the lease of a fleet for the block; nested blocks of the same run share it.

    what : kind of run, for messages. Raises BusyError if another run holds the lease.
    """
    table = lake.table(fleet, LEASES)
    with _lock:
        lease = _leases.get(table.uri)
        if lease is None or lease.row.run_id != run_id:
            lease = _leases[table.uri] = _Lease(table, _acquire(table, fleet, run_id, what))
        lease.depth += 1
    try:
        yield
    finally:
        with _lock:
            lease.depth -= 1
            if not lease.depth:
                if _leases.get(table.uri) is lease:  # Else it had expired, and another run of this process took it.
                    del _leases[table.uri]
                lease.end()


def check_lease(lake: Lake, fleet: str) -> None:
    """Raise BusyError if this process held the fleet's lease and lost it; call before what must not run twice."""
    lease = _leases.get(lake.table(fleet, LEASES).uri)
    if lease is not None:
        lease.check()


def at_work(lake: Lake, fleet: str) -> str:
    """Describe the run that holds the fleet's lease; empty if there is none."""
    row = _read(lake.table(fleet, LEASES))
    return "" if row is None or row.free(datetime.now(UTC)) else _describe(row)


def _acquire(table: Table, fleet: str, run_id: str, what: str) -> _Row:
    while True:
        table.create()
        version, row = table.version(), _read(table)
        now = datetime.now(UTC)
        if row is not None and not row.free(now):
            raise BusyError(f"fleet {fleet} is busy: {_describe(row)}; nothing was changed; {_way_out(row)}")
        try:
            return _write(table, _Row(run_id, what, _this_process(), now, now, now), version)
        except StaleTableError:
            continue  # Another run was faster; see which.


def _write(table: Table, row: _Row, version: int) -> _Row:
    """Replace the table's content by `row`, renewed, unless its version is newer than the one that was read."""
    now = datetime.now(UTC)
    expires = now + timedelta(seconds=LEASE_S)
    columns = {
        "what": row.what,
        "host": row.holder.host,
        "boot": row.holder.boot,
        "pid": row.holder.pid,
        "started": row.holder.started,
        "acquired_at": row.acquired_at,
        "renewed_at": now,
        "expires_at": expires,
    }
    staged = table.stage(pa.Table.from_pylist([columns], LEASES.file_schema), run_id=row.run_id)
    table.replace([staged], lambda file: True, based_on=version)
    return _Row(row.run_id, row.what, row.holder, row.acquired_at, now, expires)


def _read(table: Table) -> _Row | None:
    rows = table.read().to_pylist()
    if not rows:
        return None
    row = rows[0]
    holder = _Holder(row["host"], row["boot"], row["pid"], row["started"])
    times = [row[name] for name in ("acquired_at", "renewed_at", "expires_at")]
    return _Row(row["run_id"], row["what"], holder, *times)


def _describe(row: _Row) -> str:
    since = _format_time(row.acquired_at)
    return f"run {row.run_id} ({row.what}) is at work, process {row.holder.pid} on {row.holder.host} since {since}"


def _way_out(row: _Row) -> str:
    if (row.holder.host, row.holder.boot) == (_this_process().host, _this_process().boot):
        return "wait until it has ended, or end that process, and run the same command again"
    return (
        f"wait until it has ended, and run the same command again; if that process is gone, its lease expires at "
        f"{_format_time(row.expires_at)}"
    )


def _format_time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _this_process() -> _Holder:
    me = psutil.Process()
    return _Holder(platform.node(), _boot(), me.pid, me.create_time())


def _boot() -> str:
    """Return an identity that changes with a reboot and between containers, as the meaning of process ids does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{psutil.boot_time():.0f}"
