"""Segments: canonical keys, registered model names and hash buckets.

Keys and buckets are stored in tables and names in the registry, so the results of these functions must never
change: `tests/unit/domain/data/test_segments.py` pins golden values.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

__all__ = [
    "FALLBACK_BUCKET",
    "GLOBAL_KEY",
    "bucket_of",
    "bucket_range",
    "fallback_name",
    "hash_segment",
    "hash_segments",
    "lookalikes",
    "lookalikes_message",
    "model_name",
    "parse_segment",
    "segment_key",
]

HASH_BITS = 32
GLOBAL_KEY = "*"
"""Key of the fallback level that covers the whole fleet."""

FALLBACK_BUCKET = -1
"""Bucket of the models of all fallback levels; segments have buckets from 0."""

_WHOLE = re.compile(r"\+?(-?)0*(\d+)(?:\.0*)?", re.ASCII)
_SAFE = " !\"#$&'()*+,:;<>?@[\\]^`{|}~"  # everything printable but % / and =, which separate


def segment_key(values: Mapping[str, str]) -> str:
    """Return the canonical key of a segment, such as `store=2/brand=5`.

    values : column -> value, in the order of the fleet's `segment_by`.

    `%`, `/`, `=` and control characters are percent-encoded, so that no two segments share a key and
    `parse_segment` restores the values. Letters of any script stay readable.
    """
    return "/".join(f"{_escape(column)}={_escape(value)}" for column, value in values.items())


def parse_segment(key: str) -> dict[str, str]:
    """Return column -> value of a canonical key: the inverse of `segment_key`. The global key has no columns."""
    if key == GLOBAL_KEY:
        return {}
    pairs = (part.split("=", 1) for part in key.split("/"))
    return {unquote(column): unquote(value) for column, value in pairs}


def _escape(text: str) -> str:
    if text.isascii():
        return quote(text, safe=_SAFE)
    return "".join(quote(char, safe=_SAFE) if char.isascii() or not char.isprintable() else char for char in text)


def hash_segment(key: str) -> int:
    """Hash a key to 32 bits, the same on every machine and in every version (BLAKE2b, RFC 7693, first 4 bytes)."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def hash_segments(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash every key with `hash_segment`; shape (n_keys,), values in [0, 2**32)."""
    return np.fromiter((hash_segment(key) for key in keys), dtype=np.int64, count=len(keys))


def bucket_of(hashes: npt.NDArray[np.int64], buckets: int) -> npt.NDArray[np.int64]:
    """Return the bucket of every hash: equal ranges of the hash space, so that sorting by hash sorts by bucket."""
    return (hashes * buckets) >> HASH_BITS


def bucket_range(bucket: int, buckets: int) -> tuple[int, int]:
    """Return the smallest and the largest hash of a bucket, both inclusive."""
    low = -((-bucket << HASH_BITS) // buckets)
    high = -((-(bucket + 1) << HASH_BITS) // buckets) - 1
    return low, high


def lookalikes(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Group keys that a reader might take for the same: `2` and `2.0`, `007` and `7`, `Amber` and `amber`.

    They are separate segments nevertheless. Sorted by key.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for key in sorted(keys):
        values = (pair.partition("=")[2] for pair in key.split("/"))
        groups.setdefault(tuple(map(_plain, values)), []).append(key)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def lookalikes_message(keys: Sequence[str]) -> str:
    """Return a warning about keys that look alike; empty if there are none."""
    groups = lookalikes(keys)
    if not groups:
        return ""
    count = f"{len(groups):,} segments look" if len(groups) > 1 else "1 segment looks"
    return (
        f"{count} like another one, such as {' and '.join(groups[0])}; they get models of their own, so if they are "
        "one, write their values the same way in all files"
    )


@lru_cache(maxsize=100_000)
def _plain(value: str) -> str:
    """An escaped value without the differences between lookalikes: redundant zeros, case, Unicode forms, spaces."""
    number = _WHOLE.fullmatch(value)
    return number[1] + number[2] if number else " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def model_name(fleet: str, key: str) -> str:
    """Return the name of a segment's registered model, such as `oj.2.tropicana`.

    Values become slugs (lower case, a-z 0-9 and dashes), joined with dots. If that loses information, a short hash of
    the key follows, so that two segments never share a name. Models of fallback levels are named
    `<fleet>.fallback...`, see `fallback_name`.
    """
    return f"{fleet}.{_slugs(key, list(parse_segment(key).values()))}"


def fallback_name(fleet: str, key: str) -> str:
    """Return the name of a fallback level's registered model: `oj.fallback.global`, `oj.fallback.brand-tropicana`."""
    if key == GLOBAL_KEY:
        return f"{fleet}.fallback.global"
    ((column, value),) = parse_segment(key).items()
    # The columns of a fleet differ by more than case; a dash in a column would blur where the value begins.
    plain = column.lower() == _slug(column) and "-" not in column
    return f"{fleet}.fallback.{_slugs(key, [f'{column.lower() if plain else column}-{value}'], lossless=plain)}"


def _slugs(key: str, values: Sequence[str], lossless: bool = True) -> str:
    slugs = [_slug(value) for value in values]
    name = ".".join(slugs)
    lossless = lossless and slugs == list(values) and "fallback" not in slugs[:1] and len(name) <= 180
    return name if lossless else f"{name[:180]}-{hash_segment(key):08x}"


def _slug(value: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", value.lower()).strip("-") or "x"
