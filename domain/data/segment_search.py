"""Names that people type: finds the segment that is meant, or says which come closest."""

from collections.abc import Sequence
from difflib import get_close_matches

from domain.data.segments import GLOBAL_KEY, parse_segment
from domain.errors import UnknownNameError

__all__ = ["find_segment", "suggest_closest"]

_SHOWN = 5


def find_segment(asked: Sequence[str], keys: Sequence[str]) -> str | None:
    """The key that is meant by a canonical key, by columns and values as they are, or by the values alone.

    asked : `store=2/brand=5`, `2/5`, or `2` and `5`. None where no key is meant. Raises UnknownNameError where
    several are, which happens only if values contain slashes or spaces.
    """
    if len(asked) == 1 and asked[0] in keys:
        return asked[0]
    found = [key for key in keys if key != GLOBAL_KEY and _is_called(key, asked)]
    if len(found) > 1:
        shown = ", ".join(repr(key) for key in found[:_SHOWN])
        raise UnknownNameError(f"segment {' '.join(asked)!r} may be any of {shown}; give the whole key, in quotes")
    return found[0] if found else None


def _is_called(key: str, asked: Sequence[str]) -> bool:
    pairs = parse_segment(key)
    values = list(pairs.values())
    if values == list(asked):
        return True
    named = "/".join(f"{column}={value}" for column, value in pairs.items())
    return " ".join(asked) in ("/".join(values), " ".join(values), named)


def suggest_closest(text: str, names: Sequence[str]) -> str:
    """`; closest: a, b`, or nothing where no name is like the text. Segment keys are compared by their values too."""
    called = {name: name for name in names}
    called |= {"/".join(parse_segment(name).values()): name for name in names if "=" in name}
    begun = [name for name in called if name.startswith(text)] if text else []
    near = [*begun, *get_close_matches(text, list(called), n=_SHOWN, cutoff=0.4)]
    shown = list(dict.fromkeys(called[name] for name in near))[:_SHOWN]
    return f"; closest: {', '.join(shown)}" if shown else ""
