"""Errors of the gateway's clients.

MyriadError
 +-- GatewayProblemError      an answer that refuses the request, in the words of the gateway
 +-- GatewayUnreachableError  no answer, after all attempts
 +-- JobFailedError           a job that failed or was cancelled
 +-- JobPendingError          a job that has not ended in the time that was given to it
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx

from domain.errors import MyriadError

if TYPE_CHECKING:
    from myriad.gateway.models import Job

__all__ = [
    "GatewayProblemError",
    "GatewayUnreachableError",
    "JobFailedError",
    "JobPendingError",
    "problem_of",
]

_MAX_TEXT = 300


class GatewayProblemError(MyriadError):
    """The gateway refuses a request (RFC 9457).

    Parameters
    ----------
    status, title, detail : of the problem.
    fields : place in the request, such as `body.inputs.0` -> what is wrong there.
    """

    def __init__(self, status: int, title: str, detail: str, fields: Mapping[str, str] | None = None) -> None:
        self.status, self.title, self.detail, self.fields = status, title, detail, dict(fields or {})
        more = [f"  {field}: {reason}" for field, reason in self.fields.items() if reason not in detail]
        super().__init__("\n".join([f"{status} {title}: {detail}", *more]))


class GatewayUnreachableError(MyriadError):
    """The gateway does not answer, or the connection broke; the message tells whether anything may have happened."""


class JobFailedError(MyriadError):
    """A job failed or was cancelled. job : with its reason."""

    def __init__(self, job: "Job") -> None:
        self.job = job
        super().__init__(f"job {job.id} of {job.endpoint} {job.state}: {job.reason or 'no reason is known'}")


class JobPendingError(MyriadError):
    """A job has not ended in the time that was given to it; it goes on. job : as it was last seen."""

    def __init__(self, job: "Job", timeout_s: float) -> None:
        self.job = job
        super().__init__(f"job {job.id} of {job.endpoint} is {job.state} after {timeout_s:g} s; wait for it again")


def problem_of(response: httpx.Response) -> GatewayProblemError:
    """Return the error of an answer, also one of a proxy that knows no problem documents."""
    try:
        content = response.json()
        fields = {item["field"]: item["detail"] for item in content.get("errors", [])}
        return GatewayProblemError(response.status_code, str(content["title"]), str(content["detail"]), fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return GatewayProblemError(response.status_code, response.reason_phrase, response.text.strip()[:_MAX_TEXT])
