"""Judge secrets that people choose: signing secrets, passwords of servers, keys of a store.

The estimate is a lower bound of the work of somebody who guesses: characters that follow from those before them
(repeats, sequences, well-known words) count as one symbol together. Every secret of `openssl rand -hex 16` or
`secrets.token_urlsafe` passes; a strong estimate is not a proof, and a random secret remains the advice.
"""

import math
import re
import string

__all__ = ["LEAST_BYTES", "estimated_bits", "weakness"]

LEAST_BYTES = 16
_LEAST_BITS = 60.0
_LEAST_DISTINCT = 6
# A random text of 16 hexadecimal digits repeats four of them by chance in one of 500 cases, three in one of 30.
_LEAST_REPEAT = 4
_MOST_JUDGED = 256
_WAY_OUT = "make one with: openssl rand -hex 32"
_DEFAULT = re.compile(
    "minioadmin|supersecret|topsecret|mysecret|weedadmin|administrator|admin|passwords?|passwort|passwd|change_?me|changeit"
    "|minio|root|secret|letmein|qwerty|qwertz|welcome|default|example|test|guest|user|mlflow|prefect|postgres|seaweedfs"
    "|myriad",
    re.IGNORECASE,
)
_TRIMMINGS = re.compile(r"[\W_]+|\d{1,4}\W*$")
_CHARSETS = tuple(map(frozenset, (string.ascii_lowercase, string.ascii_uppercase, string.digits)))
_HEX = (frozenset("0123456789abcdef"), frozenset("0123456789ABCDEF"))
_OTHERS = 33


def weakness(secret: str) -> str | None:
    """Return why a secret is too weak, with the way out, or None if it is strong enough; never quotes the secret."""
    size = len(secret.encode("utf-8", "surrogatepass"))
    if not secret.strip():
        return f"it is empty; {_WAY_OUT}"
    if _DEFAULT.fullmatch(_TRIMMINGS.sub("", secret)):
        return f"it is a known default; {_WAY_OUT}"
    if size < LEAST_BYTES:
        return f"it has {size} bytes, and at least {LEAST_BYTES} are needed; {_WAY_OUT}"
    distinct = len(set(secret))
    if distinct < _LEAST_DISTINCT:
        return f"it has {distinct} different characters, and at least {_LEAST_DISTINCT} are needed; {_WAY_OUT}"
    bits = estimated_bits(secret)
    if bits < _LEAST_BITS:
        return f"it can be guessed: about {bits:.0f} bits, and at least {_LEAST_BITS:.0f} are needed; {_WAY_OUT}"
    return None


def estimated_bits(secret: str) -> float:
    """Estimate the entropy: symbols that do not follow from others, times the bits of the character set."""
    characters = set(secret)
    if any(characters <= digits for digits in _HEX):
        size = 10 if characters <= _CHARSETS[2] else 16
    else:
        size = sum(len(charset) for charset in _CHARSETS if characters & charset)
        size += _OTHERS if characters - frozenset().union(*_CHARSETS) else 0
    return _symbols(secret) * math.log2(size)


def _symbols(secret: str) -> int:
    """Count symbols: one per repeat, per sequence of constant step and per known word; else one per character."""
    secret = secret[:_MOST_JUDGED]  # a lower bound as well, and a long text stays cheap
    count, start = 0, 0
    while start < len(secret):
        start += max(1, _word(secret, start), _sequence(secret, start), _repeat(secret, start))
        count += 1
    return count


def _word(secret: str, start: int) -> int:
    """Return the length of the known word at `start`, or 0."""
    match = _DEFAULT.match(secret, start)
    return len(match.group()) if match else 0


def _sequence(secret: str, start: int) -> int:
    """Return the length of the run `aaaa`, `abcd` or `9876` at `start`, or 0 if it is short."""
    codes = [ord(character) for character in secret[start:]]
    if len(codes) < _LEAST_REPEAT or abs(step := codes[1] - codes[0]) > 1:
        return 0
    length = 2
    while length < len(codes) and codes[length] - codes[length - 1] == step:
        length += 1
    return length if length >= _LEAST_REPEAT else 0


def _repeat(secret: str, start: int) -> int:
    """Return the length of the longest text at `start` that also begins earlier, or 0 if it is short."""
    length = _LEAST_REPEAT
    # `find` may overlap the text itself, so that `abababab` counts as `ab` and one repeat.
    while start + length <= len(secret) and secret.find(secret[start : start + length], 0, start + length - 1) >= 0:
        length += 1
    return length - 1 if length > _LEAST_REPEAT else 0
