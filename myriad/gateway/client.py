"""The gateway's client that waits for every answer."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from tenacity import Retrying

from myriad.frames import FrameKind
from myriad.gateway import calls, models
from myriad.gateway.calls import FINAL, Call
from myriad.gateway.errors import JobFailedError, JobPendingError
from myriad.gateway.retries import AnswerError, checked, failure, policy
from myriad.gateway.transport import connection_options, request_options
from myriad.results import Page

__all__ = ["Client"]

R = TypeVar("R")


class Client:
    """A client of a gateway; close it, or use it in a `with` block.

    Requests are tried again after a broken connection and while the gateway is busy. A job is sent with an idempotency
    key, so that a second attempt never makes a second job.

    Parameters
    ----------
    url : of the gateway, such as https://gateway.example.org.
    key : of `myriad keys create`, or a token of the identity provider.
    timeout_s : for one attempt. attempts : of one request at most.
    verify : False, or a file with certificates, for a gateway with its own authority.
    transport : of httpx, instead of the usual one.

    Raises
    ------
    GatewayProblemError
        The gateway refuses a request; `fields` has the places. So does every method.
    GatewayUnreachableError
        No answer after all attempts.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 60.0,
        attempts: int = 5,
        verify: bool | str = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url, self._attempts = url.rstrip("/"), attempts
        self._http = httpx.Client(**connection_options(self._url, key, timeout_s, verify), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> None:
        """Check that the gateway reaches its database and the Prefect server."""
        self._send(calls.is_ready())

    def endpoints(self) -> list[models.Endpoint]:
        """List the endpoints that the key may use."""
        return self._send(calls.list_endpoints())

    def endpoint(self, name: str) -> models.Endpoint:
        """Get one endpoint."""
        return self._send(calls.get_endpoint(name))

    def put_endpoint(
        self, name: str, definition: models.BatchEndpoint | Mapping[str, Any], *, version: int | None = None
    ) -> models.Endpoint:
        """Create or change an endpoint. version : change exactly this version."""
        return self._send(calls.put_endpoint(name, definition, version))

    def delete_endpoint(self, name: str, *, version: int | None = None) -> None:
        """Delete an endpoint. version : delete exactly this version."""
        self._send(calls.delete_endpoint(name, version))

    def submit(
        self,
        endpoint: str,
        inputs: Sequence[Any] = (),
        *,
        deployment: str | None = None,
        settings: Mapping[str, Any] | None = None,
        output: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> models.Job:
        """Create a job, and return at once.

        Parameters
        ----------
        inputs : addresses; paths and data frames are uploaded first. None: the next horizon, or the fleet's source.
        settings : of this job only, such as `{"release": 4}`.
        output : format and folder of a file of predictions.
        key : idempotency key; the same key returns the same job, also from another process.
        """
        places, files = calls.addresses(inputs)
        sent = [self.upload(endpoint, item, deployment=deployment).uri for item in files]
        return self._send(calls.create_job(endpoint, [*places, *sent], deployment, settings or {}, output or {}, key))

    def score(self, endpoint: str, inputs: Sequence[Any] = (), *, as_: FrameKind = "pandas", **options: Any) -> Any:
        """Create a job, wait for it, and return its predictions as a frame. options : of `submit` and `timeout_s`."""
        timeout_s = options.pop("timeout_s", None)
        return self.output(self.wait(self.submit(endpoint, inputs, **options), timeout_s=timeout_s), as_=as_)

    def wait(self, job: models.Job, *, timeout_s: float | None = None, every_s: float = 2.0) -> models.Job:
        """Wait until a job is completed.

        Raises
        ------
        JobFailedError
            It failed or was cancelled.
        JobPendingError
            It has not ended after `timeout_s`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while job.state not in FINAL:
            if end is not None and time.monotonic() >= end:
                raise JobPendingError(job, timeout_s or 0)
            time.sleep(every_s if end is None else min(every_s, max(end - time.monotonic(), 0)))
            job = self.job(job.endpoint, job.id)
        if job.state != "completed":
            raise JobFailedError(job)
        return job

    def job(self, endpoint: str, job: str) -> models.Job:
        """Get the state and results of a job."""
        return self._send(calls.get_job(endpoint, job))

    def jobs(
        self, endpoint: str, *, state: str | None = None, deployment: str | None = None, page: int = 50
    ) -> Iterator[models.Job]:
        """Yield the jobs of an endpoint, newest first, a page at a time."""
        after: int | None = None
        while True:
            answer = self._send(calls.list_jobs(endpoint, state, deployment, page, after))
            yield from answer.jobs
            after = calls.following(answer)
            if after is None:
                return

    def cancel(self, job: models.Job) -> models.Job:
        """Cancel a job; committed predictions stay."""
        return self._send(calls.cancel_job(job.endpoint, job.id))

    def logs(self, job: models.Job, *, after: int = 0, limit: int = 200) -> models.Log:
        """Get lines of the log of a job's run."""
        return self._send(calls.get_logs(job.endpoint, job.id, after, limit))

    def output(self, job: models.Job, *, as_: FrameKind = "pandas") -> Any:
        """Read the predictions of a completed job as a frame."""
        return self._send(calls.get_output(job.endpoint, job.id, as_))

    def download(self, job: models.Job, path: str | Path, *, format: Literal["csv", "parquet"] = "csv") -> Path:
        """Write the predictions of a completed job to a file."""
        return self._send(calls.download(job.endpoint, job.id, format, Path(path)))

    def link(
        self,
        job: models.Job,
        *,
        format: Literal["csv", "parquet"] = "csv",
        lifetime_s: int = 3600,
        formulas: Literal["escaped", "exact"] = "escaped",
    ) -> models.Link:
        """Create a link to the predictions of a job that needs no key until it expires."""
        return self._send(calls.create_link(job.endpoint, job.id, format, lifetime_s, formulas))

    def upload(
        self, endpoint: str, data: Any, *, name: str | None = None, deployment: str | None = None
    ) -> models.Upload:
        """Upload a file, bytes or a data frame; its `uri` is an input of a job."""
        return self._send(calls.upload(endpoint, data, name, deployment))

    def triggers(self) -> list[models.NamedTrigger]:
        """List the triggers."""
        return self._send(calls.list_triggers())

    def put_trigger(self, name: str, definition: models.Trigger | Mapping[str, Any]) -> models.NamedTrigger:
        """Create or change a trigger."""
        return self._send(calls.put_trigger(name, definition))

    def delete_trigger(self, name: str) -> None:
        """Delete a trigger; its files that wait for a job are dropped."""
        self._send(calls.delete_trigger(name))

    def send_files(self, trigger: str, uris: Sequence[str], *, message: str | None = None) -> models.Taken:
        """Tell a trigger of files. message : id, under which the files are recorded once."""
        return self._send(calls.send_files(trigger, uris, message))

    def subscriptions(self) -> list[models.NamedSubscription]:
        """List the subscriptions."""
        return self._send(calls.list_subscriptions())

    def put_subscription(
        self, name: str, definition: models.Subscription | Mapping[str, Any]
    ) -> models.NamedSubscription:
        """Create or change a subscription to webhooks."""
        return self._send(calls.put_subscription(name, definition))

    def delete_subscription(self, name: str) -> None:
        """Delete a subscription."""
        self._send(calls.delete_subscription(name))

    def messages(self, subscription: str, *, state: str | None = None, limit: int = 50) -> list[models.Message]:
        """List the newest messages of a subscription."""
        return self._send(calls.list_messages(subscription, state, limit))

    def replay(self, subscription: str, *, message: str | None = None) -> models.Replayed:
        """Deliver failed messages, or one, again."""
        return self._send(calls.replay(subscription, message))

    def reports(self, fleet: str) -> list[models.Report]:
        """List the reports of a fleet, newest first."""
        return self._send(calls.list_reports(fleet))

    def report(self, fleet: str, *, run_id: str | None = None) -> Page:
        """Get the report of a run, by default of the newest; a notebook shows it inline."""
        return self._send(calls.get_report(fleet, run_id))

    def audit(self, *, limit: int = 100) -> list[models.Entry]:
        """Read the newest entries of the audit log."""
        return self._send(calls.read_audit(limit))

    def _send(self, call: Call[R]) -> R:
        try:
            for attempt in Retrying(**policy(call, self._attempts)):
                with attempt, request_options(call) as options:
                    response = checked(self._http.request(call.method, call.path, **options))
        except (AnswerError, httpx.HTTPError, httpx.InvalidURL) as exc:
            raise failure(exc, call, self._url) from exc
        return call.read(response)
