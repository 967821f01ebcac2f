"""Order of inputs from the oldest to the newest, by which the row of one of them counts."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from urllib.parse import unquote

__all__ = ["input_places", "natural_key"]

_DIGITS = re.compile(r"(\d+)")
_SLICE = re.compile(r"://.*#[^#(]*\([^(),]*,([^(),]*)\]\Z")
"""Name of a slice of a query: ADDRESS#WATERMARK(LOWER,UPPER]."""


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Key to sort names by in natural order, where numbers count: `2023-9` comes before `2023-10`.

    The text decides among those that are equal otherwise, such as `a1` and `a01`.
    """
    parts = _DIGITS.split(name)
    # Texts and numbers alternate, so that two keys never compare one with the other.
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), name


def input_places(names: Sequence[str]) -> list[int]:
    """Return the place of each input: files in natural order of their names, slices of a query in that of their bounds.

    Bounds are numbers if all of them are; others are texts that have the order of the watermark.
    """
    uppers = {name: unquote(match[1]) for name in names if (match := _SLICE.search(name))}
    numbers = {name: _number(upper) for name, upper in uppers.items()}
    bounds: dict[str, Decimal] | dict[str, str] = uppers
    if None not in numbers.values():
        bounds = {name: number for name, number in numbers.items() if number is not None}
    ordered = sorted((name for name in names if name not in bounds), key=natural_key)
    ordered += sorted(bounds, key=bounds.__getitem__)
    places = {name: place for place, name in enumerate(ordered)}
    return [places[name] for name in names]


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
