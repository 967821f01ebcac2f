"""Columns that say yes or no, which no task predicts as such yet."""

from collections.abc import Collection

__all__ = ["CLOSEST", "is_yes_no", "is_yes_or_no", "zero_one_note"]

_PAIRS = tuple(
    frozenset(pair.split())
    for pair in (
        *("yes no", "y n", "true false", "t f", "1 0", "1.0 0.0", "ja nein", "j n", "wahr falsch", "oui non", "o n"),
        *("vrai faux", "sí no", "si no", "s n", "verdadero falso", "sì no", "vero falso", "sim não", "sim nao"),
        *(
            "ja nee",
            "tak nie",
            "ano ne",
            "evet hayır",
            "on off",
            "pass fail",
            "good bad",
            "won lost",
            "active inactive",
        ),
    )
)
CLOSEST = (
    "there is no classification yet. The closest is task: regression on 1 and 0, which predicts the share of yes "
    "between 0 and 1; or, with task: forecast, the number of yes per period: rows of 1 and 0 with aggregate: sum"
)
"""What to do instead, for messages."""


def is_yes_no(texts: Collection[str]) -> bool:
    """Return True if the distinct values of a column are the two of one pair, such as Ja and Nein."""
    return frozenset(text.strip().lower() for text in texts) in _PAIRS


def is_yes_or_no(text: str) -> bool:
    """Return True if a text that is no number is one of such a pair."""
    return any(text.strip().lower() in pair for pair in _PAIRS)


def zero_one_note(name: str) -> str:
    """Say what a target of 0 and 1 means."""
    return f"{name} has no values but 0 and 1, a yes or no: {CLOSEST}"
