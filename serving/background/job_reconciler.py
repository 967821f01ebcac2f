"""Start the runs of jobs, follow them, retry them, and record their results.

All state is in the database, the Prefect server and the lake, and every step is idempotent: a gateway that dies midway
resumes where it stopped, and several gateways can run side by side.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from adapters.gateway.records import JobRecord, new_job
from adapters.gateway.store import GatewayStore
from adapters.lake.job_results import last_heartbeat, read_job_result
from adapters.lake.table import Lake
from adapters.lake.uploads import SCHEME, place_of, uploads_of
from adapters.orchestration.flow_runs import RunState
from adapters.sources.fleet_files import load_fleet
from adapters.sources.new_files import new_files
from adapters.sources.precheck import input_roots
from domain.errors import FleetError, GatewayError, MyriadError, OrchestratorError, UnknownNameError
from domain.gateway.file_events import FileEvent, wanted
from domain.gateway.job_result import job_result_json
from domain.gateway.jobs import MOST_INPUTS, BatchDeployment, JobRequest
from domain.gateway.triggers import Trigger
from serving.background.event_relay import EventRelay

__all__ = ["JobReconciler", "Runs"]

FILES_LANDED = "myriad.files.landed"
_LOG = logging.getLogger("myriad.gateway")
_FAILED = {"failed": "the run failed", "crashed": "the run crashed"}
_MOST_WAIT_S = 30.0
_SILENCE = timedelta(seconds=90)
"""A run without a heartbeat for so long is gone: nine intervals, and longer than a store may be away."""
_LOST_RETRIES = 3
"""A killed process is not the job's fault: it is run again up to this often, whatever its `retries`."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_SETTLED_S = 5.0
"""The event of a file that was written a moment ago may still be on its way."""
_MOST_DEBOUNCES = 6
"""A stream of files that never pauses is cut into jobs after this many debounce intervals."""
_REMEMBERED = timedelta(days=8)
"""How long message ids are kept: senders retry for days at most, and signatures hold for minutes."""


class Runs(Protocol):
    """What the reconciler needs of `adapters.orchestration.flow_runs.FlowRuns`."""

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
    ) -> None:
        self._store, self._runs, self._lake, self._home, self._poll_s = store, runs, lake, home, poll_s
        self._roots = tuple(roots)
        self._relay = EventRelay(store, lake)
        self._swept: dict[str, datetime] = {}
        self._forget_at = _NEVER
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
        for name, hook in self._store.triggers.all().items():
            with _log_failures(f"hook {name}"):
                self._sweep(name, hook, now)
                self._gather(name, hook, now)
        self._send_events()
        with _log_failures("fleet events"):
            self._relay.step(now)
        self._forget(now)
        jobs = self._store.jobs.unfinished()
        states = self._runs.states([job.flow_run_id for job in jobs if job.flow_run_id])
        for job in jobs:
            with _log_failures(f"job {job.id}"):
                if job.flow_run_id is None:
                    self._begin(job, now)
                elif job.flow_run_id in states:
                    self._follow(job, states[job.flow_run_id], now)
                else:
                    self._again_or_fail(job, "Prefect does not know the run any more", now)

    def _gather(self, name: str, hook: Trigger, now: datetime) -> None:
        """Turn landed files into a job once none has arrived for a while, or the first has waited long enough."""
        waiting = self._store.triggers.waiting_files(name)
        quiet = timedelta(seconds=hook.debounce_seconds)
        if not waiting or (now - waiting[-1][2] < quiet and now - waiting[0][2] < _MOST_DEBOUNCES * quiet):
            return
        chosen, deployment = self._deployment(name, hook)
        for first in range(0, len(waiting), MOST_INPUTS):
            part = waiting[first : first + MOST_INPUTS]
            # Several versions of one file are one input: the file as it is now.
            uris, keys = list(dict.fromkeys(uri for _, uri, _ in part)), [key for key, _, _ in part]
            if hook.delivery == "event":
                self._publish(name, hook, deployment.fleet, uris, keys)
                continue
            request = JobRequest(inputs=uris, overrides=hook.overrides)
            job = new_job(hook.endpoint, chosen, deployment, f"hook {name}", request)
            if self._store.triggers.give_to_job(name, keys, job):
                self._store.audit.record(f"hook {name}", "job.create", job.id, {"files": len(part)}, hook.endpoint)

    def _publish(self, name: str, hook: Trigger, fleet: str, uris: Sequence[str], keys: Sequence[str]) -> None:
        """Turn files into an event for Prefect's automations, on record before it is sent."""
        identity = uuid4()
        payload = {"fleet": fleet, "hook": name, "inputs": list(uris), "run_id": f"event-{identity.hex}"}
        body = {"event": FILES_LANDED, "fleet": fleet, "payload": payload}
        if self._store.triggers.give_to_event(name, keys, str(identity), body):
            self._store.audit.record(f"hook {name}", "event.create", str(identity), {"files": len(keys)}, hook.endpoint)

    def _send_events(self) -> None:
        """Send recorded events; one may be sent twice, with the same id, but none is lost."""
        for identity, body in self._store.events.unsent():
            self._runs.emit(identity, body["event"], body["fleet"], body["payload"])
            self._store.events.mark_sent(identity)

    def _deployment(self, name: str, hook: Trigger) -> tuple[str, BatchDeployment]:
        """Raises UnknownNameError where the endpoint has changed since the hook was made; its files wait."""
        endpoint = self._store.endpoints.get(hook.endpoint)
        chosen = hook.deployment or (endpoint[0].default if endpoint else "")
        if endpoint is None or chosen not in endpoint[0].deployments:
            raise UnknownNameError(
                f"hook {name}: endpoint {hook.endpoint} has no deployment {chosen} any more; change one"
            )
        return chosen, endpoint[0].deployments[chosen]

    def _forget(self, now: datetime) -> None:
        if now >= self._forget_at:
            self._forget_at = now + timedelta(hours=1)
            self._store.triggers.forget_messages(now - _REMEMBERED)

    def _sweep(self, name: str, hook: Trigger, now: datetime) -> None:
        """Record files whose event was lost: they lie where the fleet's input comes from, and its ledger lacks them.

        A file is left to its event as long as that may be on its way: for as long as files rest.
        """
        if hook.sweep_seconds is None or now - self._swept.get(name, _NEVER) < timedelta(seconds=hook.sweep_seconds):
            return
        self._swept[name] = now
        _, deployment = self._deployment(name, hook)
        noted, lost = self._store.triggers.last_received(name), list[FileEvent]()
        settled = now - timedelta(seconds=max(hook.debounce_seconds, _SETTLED_S))
        for file in new_files(self._lake, load_fleet(deployment.fleet, self._home), self._home):
            modified = datetime.fromtimestamp(file.modified, UTC)
            if wanted(file.uri, hook.include) and modified < settled and noted.get(file.uri, _NEVER) < modified:
                lost.append(FileEvent(file.uri, file.stamp))
        if lost:
            self._store.triggers.take_files(name, None, lost)
            self._store.audit.record(f"hook {name}", "hook.swept", name, {"files": len(lost)}, hook.endpoint)

    def _begin(self, job: JobRecord, now: datetime) -> None:
        if job.cancel:
            self._store.jobs.change(job, state="cancelled", reason="cancelled before it began", finished_at=now)
            return
        settings = job.settings
        parameters: dict[str, Any] = {"run_id": job.id, "release": settings.get("release")}
        parameters["inputs"] = [self._place(job.fleet, uri) for uri in job.request.inputs] or None
        try:
            parameters["within"] = self._within(job.fleet)
        except FleetError as exc:
            self._store.jobs.change(job, state="failed", reason=str(exc), finished_at=now)
            return
        parameters["max_rejected_share"] = settings.get("max_rejected_share", 1.0)
        more = {name: settings.get(name) for name in ("workers", "concurrency")}
        more["output"] = job.request.output.place(job.id)
        parameters |= {name: value for name, value in more.items() if value is not None}
        key, name = f"{job.id}-{job.attempt}", f"score-{job.fleet}-{job.id}"
        try:
            run = self._runs.start(f"score/{job.fleet}", parameters, key, name, ("gateway", job.endpoint))
        except UnknownNameError as exc:
            self._store.jobs.change(job, state="failed", reason=str(exc), finished_at=now)
            return
        self._store.jobs.change(job, flow_run_id=run)

    def _within(self, fleet: str) -> list[str]:
        """Return the folders that the run may read from: what was checked may have become a link since."""
        rule = load_fleet(fleet, self._home).score
        source = rule.source.path if rule else None
        local = "://" not in self._lake.uri
        return [*input_roots(self._roots, source, self._home, local=local), uploads_of(self._lake, fleet)]

    def _place(self, fleet: str, uri: str) -> str:
        return place_of(self._lake, fleet, uri) if uri.startswith(SCHEME) else uri

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
        account = read_job_result(self._lake, job.fleet, job.id)
        if account is None:
            self._again_or_fail(job, "the run has left no account of what it did", now)
            return
        ended = {"started_at": state.started_at, "finished_at": state.ended_at or now}
        progress = {"stage": "score", "percent": 100.0}
        self._store.jobs.change(job, state="completed", account=job_result_json(account), progress=progress, **ended)
        self._store.audit.record(job.client, "job.completed", job.id, {"predictions": account.rows}, job.endpoint)

    def _is_gone(self, job: JobRecord, state: RunState, now: datetime) -> bool:
        """Whether the run's process died without telling Prefect, as a killed one does."""
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


@contextmanager
def _log_failures(what: str) -> Iterator[None]:
    """Log the failure of one job; an unreachable Prefect server or database concerns all of them, and is raised."""
    try:
        yield
    except (OrchestratorError, GatewayError):
        raise
    except MyriadError as exc:
        _LOG.warning("%s: %s; looking again soon", what, exc)
    except Exception:  # noqa: BLE001 - a defect in one must not stop all
        _LOG.exception("%s cannot be looked after; looking again soon", what)
