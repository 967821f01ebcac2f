"""Start the runs of jobs, follow them, retry them, and record their results.

All state is in the database, the Prefect server and the lake, and every step is idempotent: a gateway that dies midway
resumes where it stopped, and several gateways can run side by side.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from adapters.gateway.records import JobRecord
from adapters.gateway.store import GatewayStore
from adapters.lake.job_results import last_heartbeat, read_job_result
from adapters.lake.table import Lake
from adapters.orchestration.flow_runs import RunState
from domain.errors import FleetError, GatewayError, OrchestratorError, RequestError, UnknownNameError
from domain.gateway.job_result import job_result_json
from domain.gateway.quotas import Retention
from serving.background.event_relay import EventRelay
from serving.background.failures import Failures
from serving.background.housekeeping import Housekeeping
from serving.background.run_parameters import RunParameters
from serving.background.trigger_gatherer import TriggerGatherer

__all__ = ["JobReconciler", "Runs"]

_LOG = logging.getLogger("myriad.gateway")
_FAILED = {"failed": "the run failed", "crashed": "the run crashed"}
_MOST_WAIT_S = 30.0
_SILENCE = timedelta(seconds=90)
"""A run without a heartbeat for so long is gone: nine intervals, and longer than a store may be away."""
_LOST_RETRIES = 3
"""A killed process is not the job's fault: it is run again up to this often, whatever its `retries`."""


class Runs(Protocol):
    """Part of `adapters.orchestration.flow_runs.FlowRuns` that the reconciler needs."""

    def start(self, label: str, parameters: Mapping[str, Any], key: str, name: str, tags: Sequence[str]) -> str: ...
    def emit(self, identity: str, event: str, fleet: str, payload: Mapping[str, Any]) -> None: ...
    def states(self, run_ids: Sequence[str]) -> dict[str, RunState]: ...
    def progress(self, run_id: str) -> tuple[str, float] | None: ...
    def cancel(self, run_id: str) -> None: ...
    def crash(self, run_id: str, why: str) -> None: ...


class JobReconciler:
    """Drives every unfinished job towards its end, one step at a time."""

    def __init__(
        self,
        store: GatewayStore,
        runs: Runs,
        lake: Lake,
        home: Path,
        poll_s: float = 1.0,
        roots: Sequence[str] = (),
        retention: Retention | None = None,
    ) -> None:
        self._store, self._runs, self._lake, self._poll_s = store, runs, lake, poll_s
        self.parameters = RunParameters(lake, home, roots)
        self._triggers = TriggerGatherer(store, lake, home, runs)
        self._relay = EventRelay(store, lake)
        self._failures = Failures()
        self._housekeeping = Housekeeping(store, lake, retention or Retention())
        self._over, self._work = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="job-reconciler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._work.set()
        self._thread.join(10)

    def wake(self) -> None:
        """Wake the thread: there is something new to do."""
        self._work.set()

    def _run(self) -> None:
        wait = self._poll_s
        while not self._over.is_set():
            self._work.clear()
            try:
                self.step(datetime.now(UTC))
                wait = self._poll_s
            except (OrchestratorError, GatewayError) as exc:
                wait = min(2 * wait, _MOST_WAIT_S)
                _LOG.warning("%s; looking again in %.0f s", exc, wait)
            except Exception:  # noqa: BLE001 - a thread that ends would leave all jobs as they are
                wait = _MOST_WAIT_S
                _LOG.exception("jobs cannot be looked after; looking again in %.0f s", wait)
            self._work.wait(wait)

    def step(self, now: datetime) -> None:
        """Turn files that have landed into jobs, and visit every unfinished job once.

        One that cannot be looked after, such as while its lake is away, is looked at again the next time and leaves
        the others alone. Raises OrchestratorError if Prefect does not answer, and GatewayError.
        """
        self._triggers.step(now)
        self._failures.attempt("fleet events", now, partial(self._relay.step, now))
        self._housekeeping.step(now)
        jobs = self._store.jobs.unfinished()
        states = self._runs.states([job.flow_run_id for job in jobs if job.flow_run_id])
        for job in jobs:
            self._failures.attempt(
                f"job {job.id}",
                now,
                partial(self._visit, job, states, now),
                partial(self._fail, job, now),
            )
        self._failures.keep({f"job {job.id}" for job in jobs} | {"fleet events"})

    def _visit(self, job: JobRecord, states: Mapping[str, RunState], now: datetime) -> None:
        if job.flow_run_id is None:
            self._begin(job, now)
        elif job.flow_run_id in states:
            self._follow(job, states[job.flow_run_id], now)
        else:
            self._again_or_fail(job, "Prefect does not know the run any more", now)

    def _fail(self, job: JobRecord, now: datetime, reason: str) -> None:
        """End a job that cannot be looked after, so that its client knows."""
        self._store.jobs.change(job, state="failed", reason=reason, finished_at=now)
        self._store.audit.record(job.client, "job.failed", job.id, {"reason": reason}, job.endpoint)

    def _begin(self, job: JobRecord, now: datetime) -> None:
        if job.cancel:
            self._store.jobs.change(job, state="cancelled", reason="cancelled before it began", finished_at=now)
            return
        try:
            parameters = self.parameters.of(job)
            self.parameters.check_size(job)
        except (FleetError, RequestError) as exc:
            self._fail(job, now, str(exc))
            return
        key, name = f"{job.id}-{job.attempt}", f"score-{job.fleet}-{job.id}"
        try:
            run = self._runs.start(f"score/{job.fleet}", parameters, key, name, ("gateway", job.endpoint))
        except UnknownNameError as exc:
            self._store.jobs.change(job, state="failed", reason=str(exc), finished_at=now)
            return
        self._store.jobs.change(job, flow_run_id=run)

    def _follow(self, job: JobRecord, state: RunState, now: datetime) -> None:
        if state.kind == "completed":
            self._complete(job, state, now)
        elif state.kind in _FAILED:
            self._again_or_fail(job, state.message or _FAILED[state.kind], now, lost=state.kind == "crashed")
        elif state.kind == "cancelled":
            self._cancelled(job, state, now)
        elif state.kind in ("running", "cancelling") and self._is_gone(job, state, now):
            self._runs.crash(job.flow_run_id or "", "Its process has given no sign of life.")
            self._again_or_fail(job, "its process was killed", now, lost=True)
        elif job.cancel or self._late(job, state, now):
            self._cancel(job, state)
        elif state.kind == "running":
            stage = self._runs.progress(job.flow_run_id or "")
            progress = {"stage": stage[0], "percent": stage[1]} if stage else job.progress
            if (job.state, job.progress, job.started_at) != ("running", progress, state.started_at):
                self._store.jobs.change(job, state="running", progress=progress, started_at=state.started_at)

    def _complete(self, job: JobRecord, state: RunState, now: datetime) -> None:
        result = read_job_result(self._lake, job.fleet, job.id)
        if result is None:
            self._again_or_fail(job, "the run has left no account of what it did", now)
            return
        ended = {"started_at": state.started_at, "finished_at": state.ended_at or now}
        progress = {"stage": "score", "percent": 100.0}
        self._store.jobs.change(job, state="completed", account=job_result_json(result), progress=progress, **ended)
        self._store.audit.record(job.client, "job.completed", job.id, {"predictions": result.rows}, job.endpoint)

    def _is_gone(self, job: JobRecord, state: RunState, now: datetime) -> bool:
        """Return True if the run's process died without telling Prefect, as a killed one does."""
        if state.started_at is None or now - state.started_at < _SILENCE:
            return False
        beat = last_heartbeat(self._lake, job.fleet, job.id)
        return beat is None or now - beat >= _SILENCE

    def _again_or_fail(self, job: JobRecord, why: str, now: datetime, *, lost: bool = False) -> None:
        reason = why.strip().splitlines()[0][:500] if why.strip() else "no reason was given"
        if job.cancel:
            self._store.jobs.change(job, state="cancelled", reason=job.reason or reason, finished_at=now)
        elif job.attempt < max(int(job.settings.get("retries", 0)), _LOST_RETRIES if lost else 0):
            changes = {"attempt": job.attempt + 1, "flow_run_id": None, "state": "queued", "reason": reason}
            self._store.jobs.change(job, **changes)
            self.wake()
        else:
            self._store.jobs.change(job, state="failed", reason=reason, finished_at=now)
            self._store.audit.record(job.client, "job.failed", job.id, {"reason": reason}, job.endpoint)

    def _cancelled(self, job: JobRecord, state: RunState, now: datetime) -> None:
        ended = state.ended_at or now
        late = self._late(job, state, ended)
        if late and not job.cancel:
            reason = f"it took longer than {job.settings['timeout_seconds']} seconds"
            self._store.jobs.change(job, state="failed", reason=reason, finished_at=ended)
        else:
            self._store.jobs.change(job, state="cancelled", reason=job.reason or state.message, finished_at=ended)

    def _cancel(self, job: JobRecord, state: RunState) -> None:
        if state.kind != "cancelling":
            self._runs.cancel(job.flow_run_id or "")
        if job.state != "cancelling":
            self._store.jobs.change(job, state="cancelling")

    def _late(self, job: JobRecord, state: RunState, now: datetime) -> bool:
        limit = job.settings.get("timeout_seconds")
        if not limit or state.started_at is None:
            return False
        return now - state.started_at >= timedelta(seconds=int(limit))
