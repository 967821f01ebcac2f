"""Segments: canonical keys, registered model names and hash buckets.

Keys and buckets are stored in tables and names in the registry, so none of these functions may ever change its
results: `tests/unit/domain/data/test_segments.py` pins golden values.
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
    """Canonical key of a segment, such as `store=2/brand=5`.

    values : column -> value, in the order of the fleet's `segment_by`.

    `%`, `/`, `=` and control characters are percent-encoded, so that no two segments share a key and
    `parse_segment` gives the values back. Letters of any script stay readable.
    """
    return "/".join(f"{_escape(column)}={_escape(value)}" for column, value in values.items())


def parse_segment(key: str) -> dict[str, str]:
    """Column -> value of a canonical key; the inverse of `segment_key`. The global key gives nothing."""
    if key == GLOBAL_KEY:
        return {}
    pairs = (part.split("=", 1) for part in key.split("/"))
    return {unquote(column): unquote(value) for column, value in pairs}


def _escape(text: str) -> str:
    if text.isascii():
        return quote(text, safe=_SAFE)
    return "".join(quote(char, safe=_SAFE) if char.isascii() or not char.isprintable() else char for char in text)


def hash_segment(key: str) -> int:
    """32-bit hash of a key: the same on every machine, in every version (BLAKE2b, RFC 7693, first 4 bytes)."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def hash_segments(keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """`hash_segment` of every key, shape (n_keys,), values in [0, 2**32)."""
    return np.fromiter((hash_segment(key) for key in keys), dtype=np.int64, count=len(keys))


def bucket_of(hashes: npt.NDArray[np.int64], buckets: int) -> npt.NDArray[np.int64]:
    """Bucket of every hash: equal ranges of the hash space, so rows sorted by hash are sorted by bucket."""
    return (hashes * buckets) >> HASH_BITS


def bucket_range(bucket: int, buckets: int) -> tuple[int, int]:
    """Smallest and largest hash that `bucket_of` puts into `bucket`, both inclusive."""
    low = -((-bucket << HASH_BITS) // buckets)
    high = -((-(bucket + 1) << HASH_BITS) // buckets) - 1
    return low, high


def lookalikes(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of keys that a person might take for one: `2` and `2.0`, `007` and `7`, `Amber` and `amber`.

    They are segments of their own nevertheless. In order of the keys.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for key in sorted(keys):
        values = (pair.partition("=")[2] for pair in key.split("/"))
        groups.setdefault(tuple(map(_plain, values)), []).append(key)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def lookalikes_message(keys: Sequence[str]) -> str:
    """What a person should know of keys that look alike; empty where there are none."""
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
    """An escaped value without what tells lookalikes apart: zeros that say nothing, case, forms of a letter, spaces."""
    number = _WHOLE.fullmatch(value)
    return number[1] + number[2] if number else " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def model_name(fleet: str, key: str) -> str:
    """Name of a segment's registered model, such as `oj.2.tropicana`.

    Values are slugged (lower case, a-z 0-9 and dashes) and joined with dots. Where that loses information, a short
    hash of the key follows, so that two segments never share a name. Fallback levels are named
    `<fleet>.fallback...`, which `fallback_name` builds.
    """
    return f"{fleet}.{_slugs(key, list(parse_segment(key).values()))}"


def fallback_name(fleet: str, key: str) -> str:
    """Name of a fallback level's registered model: `oj.fallback.global`, `oj.fallback.brand-tropicana`."""
    if key == GLOBAL_KEY:
        return f"{fleet}.fallback.global"
    ((column, value),) = parse_segment(key).items()
    # A fleet's columns differ by more than case; a dash in one would leave open where the value begins.
    plain = column.lower() == _slug(column) and "-" not in column
    return f"{fleet}.fallback.{_slugs(key, [f'{column.lower() if plain else column}-{value}'], lossless=plain)}"


def _slugs(key: str, values: Sequence[str], lossless: bool = True) -> str:
    slugs = [_slug(value) for value in values]
    name = ".".join(slugs)
    lossless = lossless and slugs == list(values) and "fallback" not in slugs[:1] and len(name) <= 180
    return name if lossless else f"{name[:180]}-{hash_segment(key):08x}"


def _slug(value: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", value.lower()).strip("-") or "x"
