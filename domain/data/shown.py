"""Text of files, made fit for messages: short, and without characters that a terminal or a log would obey."""

from collections.abc import Sequence

__all__ = ["shown", "shown_names"]

_MOST_CHARACTERS = 80


def shown(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Return the text with unprintable characters escaped, cut to `most` characters."""
    start = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: most + 1])
    return start if len(start) <= most else f"{start[: most - 3]}..."


def shown_names(names: Sequence[str], most: int = _MOST_CHARACTERS) -> str:
    """Return names as a list, cut to about `most` characters in total; the number of the others is told."""
    parts, left = list[str](), most
    for name in names:
        if left <= 0:
            break
        parts.append(shown(name, max(left, 4)))
        left -= len(parts[-1]) + 2
    others = len(names) - len(parts)
    return ", ".join(parts) + (f" and {others:,} more" if others else "")
