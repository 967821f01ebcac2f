"""When and how long a client tries again; the same for both clients."""

from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from domain.errors import MyriadError
from myriad.gateway.calls import Call
from myriad.gateway.errors import GatewayUnreachableError, problem_of

__all__ = ["AnswerError", "checked", "failure", "policy"]

_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same request may succeed; none of them has changed anything."""
_MAX_WAIT_S = 30.0


class AnswerError(Exception):
    """An answer that is an error."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        super().__init__(response.status_code)


def checked(response: httpx.Response) -> httpx.Response:
    """Return an answer that is a success. Raises AnswerError for any other."""
    if response.is_success:
        return response
    raise AnswerError(response)


def policy(call: Call[Any], attempts: int) -> dict[str, Any]:
    """Return the arguments of tenacity's `Retrying` and `AsyncRetrying` for a call.

    A request that may have arrived is sent again only if that changes nothing: reads, complete definitions, and jobs,
    whose idempotency key makes a second one the first.
    """

    def worth_it(error: BaseException) -> bool:
        if isinstance(error, AnswerError):
            return error.response.status_code in _AGAIN
        never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        return isinstance(error, httpx.TransportError) and (call.repeatable or never_arrived)

    return {
        "retry": retry_if_exception(worth_it),
        "stop": stop_after_attempt(attempts),
        "wait": _wait,
        "reraise": True,
    }


def _wait(state: RetryCallState) -> float:
    """Wait as long as the gateway asks for, else longer with every attempt."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, AnswerError):
        asked = error.response.headers.get("retry-after", "")
        if asked.isdigit():
            return min(float(asked), _MAX_WAIT_S)
    return wait_random_exponential(multiplier=0.5, max=_MAX_WAIT_S)(state)


def failure(error: AnswerError | httpx.HTTPError | httpx.InvalidURL, call: Call[Any], url: str) -> MyriadError:
    """Return the error for the caller after the last attempt."""
    if isinstance(error, AnswerError):
        return problem_of(error.response)
    known = "" if call.repeatable else "; it is not known whether the request was carried out"
    return GatewayUnreachableError(f"gateway {url}: {call.method} {call.path}: {error or type(error).__name__}{known}")
