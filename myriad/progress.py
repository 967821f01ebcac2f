"""Progress of a run: a table that changes in place in a notebook, lines on stderr elsewhere, or nothing."""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from adapters.compute.progress import Progress
from domain.reporting.printable import printable_line

__all__ = ["progress_display"]


def progress_display(*, shown: bool) -> Callable[[Progress], None]:
    """Return what shows the progress of one run. shown : False for silence."""
    if not shown:
        return _ignore
    return NotebookProgress() if _in_notebook() else LineProgress()


def _ignore(progress: Progress) -> None:
    """Show nothing."""


def _in_notebook() -> bool:
    """Return True within a Jupyter kernel; IPython is not imported for the answer."""
    shell: Any = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and hasattr(running, "kernel")


class LineProgress:
    """One line per note, and one when all parts of a stage are done."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if progress.note:
            self._print(f"{progress.stage}: {progress.note}")
        if progress.total and progress.done == progress.total:
            self._print(f"{progress.stage}: {progress.done} of {progress.total}")

    def _print(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        print(f"{seconds:6.1f} s  {printable_line(text)}", file=sys.stderr, flush=True)


class NotebookProgress:
    """One row per stage, with a bar; the output of the cell changes in place."""

    def __init__(self) -> None:
        self._rows: dict[str, Progress] = {}
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        former = self._rows.get(progress.stage)
        if former is not None and not progress.total:
            progress = Progress(former.stage, former.done, former.total, progress.note or former.note)
        elif former is not None and not progress.note:
            progress = Progress(progress.stage, progress.done, progress.total, former.note)
        self._rows[progress.stage] = progress
        self._show()

    def _show(self) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found, unused-ignore]

        page = HTML(self.page())  # type: ignore[no-untyped-call, unused-ignore]
        if self._handle is None:
            self._handle = display(page, display_id=True)  # type: ignore[no-untyped-call, unused-ignore]
        else:
            self._handle.update(page)

    def page(self) -> str:
        """The rows as HTML."""
        rows = "".join(map(_row, self._rows.values()))
        return f'<table class="myriad-progress"><tbody>{rows}</tbody></table>'


def _row(progress: Progress) -> str:
    bar = f'<progress max="{progress.total}" value="{progress.done}"></progress>' if progress.total else ""
    count = f"{progress.done} of {progress.total}" if progress.total else ""
    cells = (escape(progress.stage), bar, count, escape(printable_line(progress.note)))
    styles = ("text-align: left", "", "white-space: nowrap", "text-align: left")
    return (
        "<tr>"
        + "".join(f'<td style="{style}">{cell}</td>' for style, cell in zip(styles, cells, strict=True))
        + "</tr>"
    )
