"""Output to stdout: titled tables in a terminal, aligned lines elsewhere, or one JSON document."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import JustifyMethod
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.clock import seconds_since_enter
from cli.views.console import SafeConsole
from domain.data.jsonable import json_text
from domain.reporting.formatting import format_duration, format_number
from domain.reporting.printable import printable, printable_line

__all__ = ["Section", "print_figures", "print_json", "print_sections", "text_bar"]

_MAX_ITEMS = 5  # of a list of names or messages


@dataclass(frozen=True)
class Section:
    """A titled table. Without a header, the first column holds labels. numbers : right-aligned columns."""

    title: str
    rows: Sequence[tuple[str, ...]]
    header: tuple[str, ...] = ()
    numbers: frozenset[int] = frozenset()


def print_sections(sections: Iterable[Section]) -> None:
    """Print sections to stdout; those without rows are left out."""
    print_section = _print_table if sys.stdout.isatty() else _print_lines
    for section in sections:
        if section.rows:
            print_section(section)


def print_json(value: object) -> None:
    """Print a value as one JSON document."""
    print(json_text(value))


def _print_table(section: Section) -> None:
    columns = section.header or ("",) * len(section.rows[0])
    table = Table(box=box.SIMPLE_HEAD if section.header else None, show_header=bool(section.header))
    for place, name in enumerate(columns):
        is_label = not section.header and place == 0 and len(columns) > 1
        justify: JustifyMethod = "right" if place in section.numbers else "left"
        table.add_column(Text(printable_line(name)), overflow="fold", style="bold" if is_label else "", justify=justify)
    for row in section.rows:
        # Escaped before Rich lays them out, so that columns are as wide as what is shown.
        table.add_row(*(Text(printable_line(cell)) for cell in row))
    console = SafeConsole(highlight=False)
    console.print(Text(printable(section.title), "bold cyan"))
    if section.header:
        console.print(table)
    else:
        console.print(Padding(table, (0, 0, 1, 1)))


def _print_lines(section: Section) -> None:
    print(printable(section.title))
    rows = [
        tuple(map(printable_line, row)) for row in ((section.header,) if section.header else ()) + tuple(section.rows)
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if place in section.numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def text_bar(share: float, width: int = 20) -> str:
    """Draw a share as a bar; only zero has no block."""
    return "█" * max(round(share * width), 1 if share > 0 else 0)


def print_figures(title: str, stages: Mapping[str, Mapping[str, object]]) -> None:
    """Print the figures of stages and the time that the command took."""
    rows = [row for figures in stages.values() for row in _figure_rows(figures)]
    print_sections([Section(title, [*rows, ("time", format_duration(seconds_since_enter()))])])


def _figure_rows(figures: Mapping[str, object]) -> list[tuple[str, str]]:
    """Format figures by name; empty ones are left out."""
    return [(name.replace("_", " "), text) for name, value in figures.items() if (text := _figure(value))]


def _figure(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, Mapping):
        if any(isinstance(item, Mapping) for item in value.values()):
            return "; ".join(f"{key}: {_figure(item)}" for key, item in value.items())
        return ", ".join(f"{_figure(item)} {key or 'own champion'}" for key, item in value.items() if item)
    if isinstance(value, list | tuple):
        items = [_figure(item) for item in value[:_MAX_ITEMS]]
        return "; ".join([*items, f"and {len(value) - _MAX_ITEMS:,} more"] if len(value) > _MAX_ITEMS else items)
    return "" if value is None else str(value)
