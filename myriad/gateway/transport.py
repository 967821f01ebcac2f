"""Connections and requests of both clients, in the form that httpx takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from domain.errors import SettingsError
from myriad.gateway.calls import Call

__all__ = ["connection_options", "request_options"]

_CHUNK_BYTES = 1 << 20


def connection_options(url: str, key: str | None, timeout_s: float, verify: bool | str) -> dict[str, Any]:
    """Return the options of a connection. Raises SettingsError for an address that is none."""
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"gateway {url!r}: not an address; give http://HOST:PORT or https://HOST")
    headers = {"User-Agent": f"myriad-python/{version('myriad-models')}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if isinstance(verify, str):
        import ssl

        return {
            "base_url": url,
            "headers": headers,
            "timeout": timeout_s,
            "verify": ssl.create_default_context(cafile=verify),
        }
    return {"base_url": url, "headers": headers, "timeout": timeout_s, "verify": verify}


@contextmanager
def request_options(call: Call[Any], *, awaited: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the options of one attempt. awaited : for the client with an event loop."""
    options: dict[str, Any] = {"params": dict(call.query), "headers": dict(call.headers)}
    if call.body is not None:
        options["json"] = call.body
    if not isinstance(call.content, Path):
        yield options | ({"content": call.content} if call.content is not None else {})
    elif awaited:
        options["headers"]["Content-Length"] = str(call.content.stat().st_size)
        yield options | {"content": _chunks(call.content)}
    else:
        with call.content.open("rb") as stream:
            yield options | {"content": stream}


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while chunk := await asyncio.to_thread(stream.read, _CHUNK_BYTES):
            yield chunk
