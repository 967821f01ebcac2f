"""Values of the partition column `part`: `bucket-7` for rows of a bucket, `input-ID` for rows of one scoring input.

They are stored in tables, so the results of these functions must never change.
"""

__all__ = ["bucket_part", "input_part", "is_bucket_part", "is_input_part", "part_bucket"]

_BUCKET, _INPUT = "bucket-", "input-"


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


def is_input_part(part: str) -> bool:
    """Return True for a part that `input_part` named."""
    return part.startswith(_INPUT)
