"""Small pieces of HTML for notebooks; every text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from domain.reporting.formatting import format_number
from domain.reporting.printable import printable

__all__ = ["facts", "lines", "section", "table", "text_of"]

_LEFT = ' style="text-align: left; vertical-align: top"'


def text_of(value: object) -> str:
    """Return a value as people read it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text_of(item)}" for name, item in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(text_of, value)) or "–"
    return printable(str(value))


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names and values as a table of two columns."""
    rows = (f"<tr><th{_LEFT}>{escape(name)}</th><td{_LEFT}>{_cell(value)}</td></tr>" for name, value in pairs)
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as a table with a header; nothing without rows."""
    cells = ("".join(f"<td{_LEFT}>{'' if value == '' else _cell(value)}</td>" for value in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    names = "".join(f"<th{_LEFT}>{escape(name)}</th>" for name in header)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>" if body else ""


def section(title: str, content: str) -> str:
    """Return content below its title; nothing without content."""
    return f"<p><b>{escape(printable(title))}</b></p>{content}" if content else ""


def lines(texts: Iterable[str]) -> str:
    """Return texts as a list; nothing without texts."""
    items = "".join(f"<li>{_cell(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _cell(value: object) -> str:
    return escape(text_of(value)).replace("\n", "<br>")
