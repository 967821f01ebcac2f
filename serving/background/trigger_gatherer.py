"""Turn the files of triggers into jobs and events, and search for files whose event was lost."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from adapters.gateway.records import new_job
from adapters.gateway.store import GatewayStore
from adapters.lake.table import Lake
from adapters.sources.fleet_files import load_fleet
from adapters.sources.new_files import new_files
from domain.errors import RequestError, UnknownNameError
from domain.gateway.file_events import FileEvent, check_event, is_input
from domain.gateway.jobs import BatchDeployment, JobRequest
from domain.gateway.kept_text import abridged
from domain.gateway.triggers import Trigger, client_of
from serving.background.failures import Failures
from serving.background.run_parameters import batches

__all__ = ["FILES_LANDED", "EventSink", "TriggerGatherer"]

FILES_LANDED = "myriad.files.landed"
_NEVER = datetime.min.replace(tzinfo=UTC)
_SETTLED_S = 5.0
"""The event of a file that was written a moment ago may still be on its way."""
_MOST_DEBOUNCES = 6
"""A stream of files that never pauses is cut into jobs after this many debounce intervals."""
_MOST_LISTED = 20


class EventSink(Protocol):
    """The part of `adapters.orchestration.flow_runs.FlowRuns` that sends events."""

    def emit(self, identity: str, event: str, fleet: str, payload: Mapping[str, Any]) -> None: ...


class TriggerGatherer:
    """Looks after every trigger; one that fails is tried again later, and leaves the others alone."""

    def __init__(self, store: GatewayStore, lake: Lake, home: Path, sink: EventSink) -> None:
        self._store, self._lake, self._home, self._sink = store, lake, home, sink
        self._failures, self._event_failures = Failures(), Failures()
        self._swept: dict[str, datetime] = {}

    def step(self, now: datetime) -> None:
        """Visit every trigger once, and send the recorded events. Raises OrchestratorError and GatewayError."""
        triggers = self._store.triggers.all()
        for name, hook in triggers.items():
            # Two attempts: a fleet whose source cannot be listed must not hold back the files that are there.
            self._failures.attempt(f"sweep of hook {name}", now, partial(self._sweep, name, hook, now))
            self._failures.attempt(f"hook {name}", now, partial(self._gather, name, hook, now))
        self._failures.keep({f"{kind}hook {name}" for name in triggers for kind in ("", "sweep of ")})
        self._send_events(now)

    def _gather(self, name: str, hook: Trigger, now: datetime) -> None:
        """Turn landed files into a job once none has arrived for a while, or the first has waited long enough."""
        waiting = self._store.triggers.waiting_files(name)
        quiet = timedelta(seconds=hook.debounce_seconds)
        if not waiting or (now - waiting[-1][2] < quiet and now - waiting[0][2] < _MOST_DEBOUNCES * quiet):
            return
        files = self._without_odd_ones(name, hook, {key: uri for key, uri, _ in waiting})
        chosen, deployment = self._deployment(name, hook)
        for part in batches(files):
            # Several versions of one file are one input: the file as it is now.
            uris, keys = list(dict.fromkeys(part.values())), list(part)
            if hook.delivery == "event":
                self._publish(name, hook, deployment.fleet, uris, keys)
                continue
            request = JobRequest(inputs=uris, overrides=hook.overrides)
            job = new_job(hook.endpoint, chosen, deployment, client_of(name), request)
            if self._store.triggers.give_to_job(name, keys, job):
                self._store.audit.record(client_of(name), "job.create", job.id, {"files": len(part)}, hook.endpoint)

    def _without_odd_ones(self, name: str, hook: Trigger, files: dict[str, str]) -> dict[str, str]:
        """Set aside files that no job can have, on record: earlier versions accepted any address."""
        odd = dict[str, str]()
        for key, uri in files.items():
            try:
                check_event(FileEvent(uri))
                JobRequest(inputs=[uri])
            except (RequestError, ValueError) as exc:
                odd[key] = str(exc) if isinstance(exc, RequestError) else f"{abridged(uri)}: it is no address of a file"
        if odd:
            self._store.triggers.refuse_files(name, list(odd))
            detail = {"files": len(odd), "reasons": list(odd.values())[:_MOST_LISTED]}
            self._store.audit.record(client_of(name), "hook.refused", name, detail, hook.endpoint)
        return {key: uri for key, uri in files.items() if key not in odd}

    def _publish(self, name: str, hook: Trigger, fleet: str, uris: Sequence[str], keys: Sequence[str]) -> None:
        """Turn files into an event for Prefect's automations, on record before it is sent."""
        identity = uuid4()
        payload = {"fleet": fleet, "hook": name, "inputs": list(uris), "run_id": f"event-{identity.hex}"}
        body = {"event": FILES_LANDED, "fleet": fleet, "payload": payload}
        if self._store.triggers.give_to_event(name, keys, str(identity), body):
            detail = {"files": len(keys)}
            self._store.audit.record(client_of(name), "event.create", str(identity), detail, hook.endpoint)

    def _send_events(self, now: datetime) -> None:
        """Send recorded events; one may be sent twice, with the same id, but none is lost."""
        events = self._store.events.unsent()
        for identity, body in events:
            self._event_failures.attempt(
                f"event {identity}",
                now,
                partial(self._send_event, identity, body),
                partial(self._store.events.give_up, identity),
            )
        self._event_failures.keep({f"event {identity}" for identity, _ in events})

    def _send_event(self, identity: str, body: Mapping[str, Any]) -> None:
        self._sink.emit(identity, body["event"], body["fleet"], body["payload"])
        self._store.events.mark_sent(identity)

    def _deployment(self, name: str, hook: Trigger) -> tuple[str, BatchDeployment]:
        """Return the deployment of a trigger, by name.

        Raises
        ------
        UnknownNameError
            If the endpoint has changed since the trigger was made; its files wait.
        """
        endpoint = self._store.endpoints.get(hook.endpoint)
        chosen = hook.deployment or (endpoint[0].default if endpoint else "")
        if endpoint is None or chosen not in endpoint[0].deployments:
            raise UnknownNameError(
                f"hook {name}: endpoint {hook.endpoint} has no deployment {chosen} any more; change one"
            )
        return chosen, endpoint[0].deployments[chosen]

    def _sweep(self, name: str, hook: Trigger, now: datetime) -> None:
        """Record files whose event was lost: they lie where the fleet's input comes from, and its ledger lacks them.

        A file is left to its event as long as that may be on its way: for as long as files rest.
        """
        if hook.sweep_seconds is None or now - self._swept.get(name, _NEVER) < timedelta(seconds=hook.sweep_seconds):
            return
        self._swept[name] = now
        _, deployment = self._deployment(name, hook)
        received, lost = self._store.triggers.last_received(name), list[FileEvent]()
        settled = now - timedelta(seconds=max(hook.debounce_seconds, _SETTLED_S))
        for file in new_files(self._lake, load_fleet(deployment.fleet, self._home), self._home):
            modified = datetime.fromtimestamp(file.modified, UTC)
            if is_input(file.uri, hook.include) and modified < settled and received.get(file.uri, _NEVER) < modified:
                lost.append(FileEvent(file.uri, file.stamp))
        if lost:
            self._store.triggers.take_files(name, None, lost)
            self._store.audit.record(client_of(name), "hook.swept", name, {"files": len(lost)}, hook.endpoint)
