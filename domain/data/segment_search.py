"""Search for the segments and names that users type, with suggestions for those that do not exist."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from domain.data.segments import GLOBAL_KEY, parse_segment
from domain.errors import UnknownNameError

__all__ = ["find_segment", "matches_pattern", "suggest_closest"]

_SHOWN = 5


def find_segment(words: Sequence[str], keys: Sequence[str]) -> str | None:
    """Find a segment by its canonical key, by unescaped columns and values, or by the values alone.

    Parameters
    ----------
    words : `store=2/brand=5`, `2/5`, or `2` and `5`.

    Returns
    -------
    The key of the segment; None if there is no match.

    Raises
    ------
    UnknownNameError
        If several segments match, which requires values with slashes or spaces.
    """
    if len(words) == 1 and words[0] in keys:
        return words[0]
    matches = [key for key in keys if key != GLOBAL_KEY and _matches(key, words)]
    if len(matches) > 1:
        names = ", ".join(repr(key) for key in matches[:_SHOWN])
        raise UnknownNameError(f"segment {' '.join(words)!r} may be any of {names}; give the whole key, in quotes")
    return matches[0] if matches else None


def matches_pattern(key: str, pattern: str) -> bool:
    """Return True if the segment matches a glob over its key, such as `store=2/*`, or its values, such as `2/*`."""
    return fnmatchcase(key, pattern) or fnmatchcase("/".join(parse_segment(key).values()), pattern)


def _matches(key: str, words: Sequence[str]) -> bool:
    pairs = parse_segment(key)
    values = list(pairs.values())
    if values == list(words):
        return True
    named = "/".join(f"{column}={value}" for column, value in pairs.items())
    return " ".join(words) in ("/".join(values), " ".join(values), named)


def suggest_closest(text: str, names: Sequence[str]) -> str:
    """Return `; closest: a, b`, or nothing if no name resembles the text. Segment keys also match by their values."""
    spellings = {name: name for name in names}
    spellings |= {"/".join(parse_segment(name).values()): name for name in names if "=" in name}
    prefixed = [spelling for spelling in spellings if spelling.startswith(text)] if text else []
    similar = [*prefixed, *get_close_matches(text, list(spellings), n=_SHOWN, cutoff=0.4)]
    suggestions = list(dict.fromkeys(spellings[spelling] for spelling in similar))[:_SHOWN]
    return f"; closest: {', '.join(suggestions)}" if suggestions else ""
