"""Check that a server of the stack is ready: `python -m adapters.local_stack.wait_for URL` exits with 0 if it is.

An http:// address is requested once, because health checks repeat by themselves. An s3://BUCKET/KEY is written until
that succeeds, for a minute at most: the server's own health page reports success too early.
"""

import sys
import urllib.error
import urllib.request

__all__ = ["main"]

_LIMIT_S = 60.0
_ASK_S = 5.0
_POLL_S = 0.3


def main(uri: str) -> int:
    """Return 0 if the server at `uri` is ready, else 1 with the reason on stderr."""
    try:
        _write(uri) if uri.startswith("s3://") else _ask(uri)
    except (OSError, ValueError) as exc:
        print(f"{uri}: {exc}", file=sys.stderr)
        return 1
    return 0


def _ask(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError("give an http://, https:// or s3:// address")
    with urllib.request.urlopen(url, timeout=_ASK_S):  # noqa: S310 - the scheme has been checked
        pass


def _write(uri: str) -> None:
    # Imported here, since a check of an http:// address runs every two seconds and needs neither.
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

    from adapters.lake.files import STORAGE_ERRORS, put_once

    storage_errors = retry_if_exception_type(STORAGE_ERRORS)
    try:
        Retrying(retry=storage_errors, stop=stop_after_delay(_LIMIT_S), wait=wait_fixed(_POLL_S))(
            put_once, uri, b"ready\n"
        )
    except RetryError as error:
        exc = error.last_attempt.exception()
        raise OSError(str(exc)) from exc


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
