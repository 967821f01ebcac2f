"""Texts that the gateway can keep: of a limited length, without control characters and half characters.

PostgreSQL refuses NUL, no encoding has lone surrogates, and a line break in an address forges lines of a log.
"""

import re

__all__ = ["LONGEST_URI", "abridged", "text_problem"]

LONGEST_URI = 1_024
"""Characters of an address of a file; jobs, triggers and their database have the same limit."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SHOWN = 80


def text_problem(text: str, longest: int = LONGEST_URI) -> str | None:
    """Return why a text cannot be kept, with the limit, or None if it can."""
    if len(text) > longest:
        return f"it has {len(text):,} characters, and at most {longest:,} are allowed"
    if match := _SURROGATE.search(text):
        return f"it has half a character (U+{ord(match.group()):04X}), which no encoding has"
    if match := _CONTROL.search(text):
        return f"it has the control character U+{ord(match.group()):04X}"
    return None


def abridged(text: str) -> str:
    """Return a text for a message: short, and with odd characters escaped."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return shown.encode("unicode_escape").decode() if text_problem(shown) else shown
