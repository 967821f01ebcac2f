"""The lease of a fleet: one run at a time trains, registers, promotes or rolls back.

A row of the table `leases` says who holds it. Whoever wants it replaces the row, on the version of the table that it
has looked at: of two that do so at once, one wins. A thread renews the row. A holder that died on this host is replaced
at once, any other when its lease has expired.
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
"""By how much the clocks of two hosts may differ: a holder counts on its lease for that much less."""
_RETRY_S = 10.0
_SAME_START_S = 2.0
"""A process's start is computed from the host's clock, which may have been adjusted since."""


@dataclass(frozen=True)
class _Holder:
    """One row of the table, but for the run's id and the times. boot : of the host, and of its process namespace."""

    host: str
    boot: str
    pid: int
    started: float

    def died_here(self) -> bool:
        """Whether it ran on this host and is no more."""
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
        """Raises BusyError unless the lease is certainly ours still."""
        now, row = datetime.now(UTC), _read(self.table)
        if not self._is_ours(row) or now > self.row.expires_at - timedelta(seconds=MARGIN_S):
            raise BusyError(
                f"{self.table.uri}: run {self.row.run_id} ({self.row.what}) lost its lease, which could not be renewed "
                f"since {_told(self.row.renewed_at)}{f'; {_who(row)}' if row and not self._is_ours(row) else ''}; "
                "nothing more was committed; run the same command again"
            )

    def end(self) -> None:
        """Let the next one in. A table that cannot be written now is no loss: the lease expires."""
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
    """The fleet's lease for the block; a block of the same run inside another one shares it.

    what : the kind of run, for people. Raises BusyError if another run has it.
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
    """Before what must not be done twice: raises BusyError if this process held the fleet's lease and has lost it."""
    lease = _leases.get(lake.table(fleet, LEASES).uri)
    if lease is not None:
        lease.check()


def at_work(lake: Lake, fleet: str) -> str:
    """Which run holds the fleet's lease, in words; empty for none."""
    row = _read(lake.table(fleet, LEASES))
    return "" if row is None or row.free(datetime.now(UTC)) else _who(row)


def _acquire(table: Table, fleet: str, run_id: str, what: str) -> _Row:
    while True:
        table.create()
        version, row = table.version(), _read(table)
        now = datetime.now(UTC)
        if row is not None and not row.free(now):
            raise BusyError(f"fleet {fleet} is busy: {_who(row)}; nothing was changed; {_way_out(row)}")
        try:
            return _write(table, _Row(run_id, what, _this_process(), now, now, now), version)
        except StaleTableError:
            continue  # Another one was faster; look who.


def _write(table: Table, row: _Row, version: int) -> _Row:
    """Make `row`, renewed, the only row of the table, if its version is that which was looked at."""
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


def _who(row: _Row) -> str:
    since = _told(row.acquired_at)
    return f"run {row.run_id} ({row.what}) is at work, process {row.holder.pid} on {row.holder.host} since {since}"


def _way_out(row: _Row) -> str:
    if (row.holder.host, row.holder.boot) == (_this_process().host, _this_process().boot):
        return "wait until it has ended, or end that process, and run the same command again"
    return (
        f"wait until it has ended, and run the same command again; if that process is gone, its lease expires at "
        f"{_told(row.expires_at)}"
    )


def _told(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _this_process() -> _Holder:
    me = psutil.Process()
    return _Holder(platform.node(), _boot(), me.pid, me.create_time())


def _boot() -> str:
    """Another value after a restart of the host, and in another container: process ids mean something else there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{psutil.boot_time():.0f}"
