"""Reading of request bodies: within a size and a time, and so many at once."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from serving.limits import BodyTimes
from serving.problem_details import ProblemError

__all__ = ["Body", "BodySlots", "DisconnectedError", "Message", "Receive"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class DisconnectedError(Exception):
    """The client has gone before its body was complete."""


class BodySlots:
    """Limit how many bodies are read at once, in total and per owner."""

    def __init__(self, total: int) -> None:
        self._total, self._owners = asyncio.Semaphore(total), Counter[str]()

    @asynccontextmanager
    async def taken(self, owner: str, limit: int, wait_s: float) -> AsyncIterator[None]:
        """Hold a slot of an owner. Raises ProblemError if it has `limit`, or if none becomes free."""
        if self._owners[owner] >= limit:
            headers = {"Retry-After": "1"}
            raise ProblemError(429, f"{limit} requests with a body are under way; wait for one", headers=headers)
        self._owners[owner] += 1
        try:
            try:
                await asyncio.wait_for(self._total.acquire(), wait_s)
            except TimeoutError as exc:
                raise ProblemError(503, "too many bodies at once; try again", headers={"Retry-After": "1"}) from exc
            try:
                yield
            finally:
                self._total.release()
        finally:
            self._owners[owner] -= 1
            if not self._owners[owner]:
                del self._owners[owner]


class Body:
    """The body of one request: refused by its announced length, counted, and timed."""

    def __init__(self, headers: list[tuple[bytes, bytes]], receive: Receive, max_bytes: int, times: BodyTimes) -> None:
        self._receive, self._max_bytes, self._times = receive, max_bytes, times
        lengths = [value for name, value in headers if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in headers)
        if lengths and chunked:
            raise ProblemError(400, "Content-Length and Transfer-Encoding are both there; send one of them")
        if any(not length.isdigit() for length in lengths) or len(set(lengths)) > 1:
            raise ProblemError(400, "Content-Length is no number, or there are several")
        self.announced = chunked or (bool(lengths) and int(lengths[0][:20]) > 0)
        self.complete = not self.announced
        self._seen, self._begun = 0, time.monotonic()
        if lengths and (len(lengths[0]) > 20 or int(lengths[0]) > max_bytes):
            raise self.too_large()

    def too_large(self) -> ProblemError:
        return ProblemError(413, f"the body is larger than the {self._max_bytes:,} bytes that are allowed")

    async def whole(self, seconds: float) -> bytes:
        """Return the whole body. Raises ProblemError if it is too large or too slow, DisconnectedError if it ends."""
        content = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while not self.complete:
                    message = await self._next()
                    if message["type"] == "http.disconnect":
                        raise DisconnectedError
                    content += message.get("body", b"")
        except TimeoutError as exc:
            raise ProblemError(408, f"the body took longer than {seconds:g} s") from exc
        return bytes(content)

    async def stream(self) -> Message:
        """Return the next piece for a route that reads by itself. Raises ProblemError for one that is too slow."""
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._times.pause_s):
                message = await self._next()
        except TimeoutError as exc:
            raise ProblemError(408, f"nothing came for {self._times.pause_s:g} s") from exc
        elapsed = time.monotonic() - self._begun
        if elapsed > self._times.keyed_s + self._seen / self._times.per_second:
            raise ProblemError(408, f"the body comes slower than {self._times.per_second:,} bytes per second")
        return message

    async def _next(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._max_bytes:
            raise self.too_large()
        self.complete = not message.get("more_body", False)
        return message
