"""Errors of storage and Delta as errors of the lake."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import DeltaError

from adapters.lake.files import STORAGE_ERRORS
from domain.errors import LakeError

__all__ = ["unusable"]

_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@contextmanager
def unusable(uri: str, done: str) -> Iterator[None]:
    """Translate errors of the storage and Delta (permission, full disk, connection, broken log) to LakeError."""
    try:
        yield
    except (*STORAGE_ERRORS, DeltaError) as exc:
        # Delta formats errors as coloured trees of lines.
        text = ": ".join(part.strip() for part in _COLOUR.sub("", str(exc)).split("↳"))
        raise LakeError(f"{uri}: the table cannot be {done}: {text}") from exc
