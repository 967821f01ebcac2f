"""Values of the partition column `part`: `bucket-7` for rows of a bucket, `input-ID` for rows of one scoring input.

They are stored in tables, so the results of these functions must never change.
"""

import base64
import hashlib

__all__ = [
    "bucket_part",
    "input_part",
    "is_bucket_part",
    "is_input_part",
    "part_bucket",
    "part_input",
    "query_content",
    "query_place",
]

_BUCKET, _INPUT = "bucket-", "input-"
_QUERY, _PLACE_LENGTH, _VERSION_LENGTH = "q", 9, 6


def bucket_part(bucket: int) -> str:
    """Name the part that holds the rows of a bucket."""
    return f"{_BUCKET}{bucket}"


def is_bucket_part(part: str) -> bool:
    """Return True for a part that `bucket_part` named."""
    return part.startswith(_BUCKET)


def part_bucket(part: str) -> int:
    """Return the bucket of a part: the inverse of `bucket_part`."""
    return int(part.removeprefix(_BUCKET))


def input_part(input_id: str) -> str:
    """Name the part that holds the rows of a scoring input."""
    return f"{_INPUT}{input_id}"


def part_input(part: str) -> str:
    """Return the input of a part: the inverse of `input_part`."""
    return part.removeprefix(_INPUT)


def is_input_part(part: str) -> bool:
    """Return True for a part that `input_part` named."""
    return part.startswith(_INPUT)


def query_content(place: str, version: str) -> str:
    """Identity of the rows that a place in a query has in one version: 16 characters, of which `query_place` is known.

    Files have 16 hex digits of their content in its place; `q` is none.
    """
    return f"{_QUERY}{_letters(place, _PLACE_LENGTH)}{_letters(version, _VERSION_LENGTH)}"


def query_place(input_id: str) -> str | None:
    """Return what all versions of a place in a query have in common; None for inputs of other kinds."""
    return input_id[: 1 + _PLACE_LENGTH] if input_id.startswith(_QUERY) else None


def _letters(text: str, length: int) -> str:
    return base64.b32encode(hashlib.blake2b(text.encode(), digest_size=10).digest()).decode().lower()[:length]
