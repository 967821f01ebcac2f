"""Compare stored graphs with the SHA-256 that was recorded when they were trained.

The digest is recorded beside the graph, so it reveals damage and changes of the bytes alone. It is no signature:
whoever can rewrite the whole row can rewrite both. Access to the lake is what keeps such writers out.
"""

import hashlib

from domain.failure import Failure

__all__ = ["graph_failure"]

_SHOWN_DIGITS = 16


def graph_failure(onnx: bytes, sha256: str | None) -> Failure | None:
    """Return a Failure that quotes both digests if `onnx` is not the graph that `sha256` was recorded of, else None."""
    digest = hashlib.sha256(onnx).hexdigest()
    if digest == sha256:
        return None
    recorded = f"{sha256[:_SHOWN_DIGITS]}..." if sha256 else "none"
    return Failure(
        f"its graph is not the one that was trained: SHA-256 {digest[:_SHOWN_DIGITS]}..., recorded {recorded}; "
        "`myriad registry sync` restores it from an intact copy"
    )
