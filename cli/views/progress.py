"""Progress of the stages in the terminal, and the table at the end of a run."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from adapters.compute.progress import Progress, subscribed
from cli.clock import seconds_since_enter
from cli.views.console import SafeConsole
from domain.reporting.formatting import format_bytes, format_duration
from domain.reporting.printable import printable
from domain.reporting.summary import telling_figures

__all__ = ["display_progress", "print_summary"]

_MAX_REFUSED = 5  # messages of refused files in the table


@contextmanager
def display_progress() -> Iterator[None]:
    """Display progress bars in a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        with subscribed(_Lines()):
            yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=SafeConsole()) as bars, subscribed(_Bars(bars)):
        yield


class _Lines:
    """Print one line when a stage starts and one when all its parts are done."""

    def __init__(self) -> None:
        self._began = time.monotonic() - seconds_since_enter()

    def __call__(self, progress: Progress) -> None:
        seconds = time.monotonic() - self._began
        if progress.note:
            print(f"{seconds:6.1f} s  {progress.stage}: {progress.note}", flush=True)
        if progress.total and progress.done == progress.total:
            print(f"{seconds:6.1f} s  {progress.stage}: {progress.done} of {progress.total}", flush=True)


class _Bars:
    """Display one bar per stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._starting: TaskID | None = bars.add_task("starting", total=None)

    def __call__(self, progress: Progress) -> None:
        if self._starting is not None:
            self._bars.remove_task(self._starting)
            self._starting = None
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bars.add_task(progress.stage, total=None)
        task = self._tasks[progress.stage]
        if progress.note:
            # Above the bars: beside them, it would leave them no room.
            self._bars.console.print(Text(f"{progress.stage}: {printable(progress.note)}"))
        if progress.total:
            self._bars.update(task, completed=progress.done, total=progress.total)


def print_summary(summary: Path) -> None:
    """Print the figures of a run from its JSON summary."""
    content = json.loads(summary.read_text(encoding="utf-8"))
    table = Table(title=Text(f"{content['fleet']}  run {content['run_id']}"), show_header=False, title_justify="left")
    table.add_column(justify="left", style="bold")
    table.add_column(justify="left")
    rows, metric = content["rows"], content["metric"]
    outcomes = ", ".join(f"{count:,} {name}" for name, count in content["outcomes"].items() if count)
    merged = f" + {rows['merged']:,} merged into their period" if rows.get("merged") else ""
    table.add_row(
        "rows", f"{rows['read']:,} read = {rows['accepted']:,} accepted{merged} + {rows['quarantined']:,} quarantined"
    )
    if refused := content["files"]["refused"]:
        lines = [f"{len(refused):,} of {content['files']['found']:,}", *refused[:_MAX_REFUSED]]
        lines += [f"and {len(refused) - _MAX_REFUSED:,} more, see the report"] if len(refused) > _MAX_REFUSED else []
        table.add_row(Text("files refused", "bold red"), Text(printable("\n".join(lines)), "red"))
    table.add_row("segments", f"{content['segments']:,}: {outcomes}")
    if part := content["config"].get("part"):
        table.add_row("part", Text(f"only segments that match {printable(part)}; the others keep their models"))
    table.add_row(
        "models", f"{content['registered']:,} registered, {content['promoted']:,} promoted, {content['held']:,} held"
    )
    if content["held"]:
        table.add_row("why held", Text(f"myriad status {content['fleet']} --segments --held"))
    reason = content["config"].get("promotion", "")
    table.add_row("release", Text(f"{content['release'] or 'none'}{f': {printable(reason)}' if reason else ''}"))
    table.add_row("predictions", f"{content['predictions']:,}")
    table.add_row(f"backtest {metric['name']}", _against(metric))
    if metric["test"]:
        coverage = metric["test"]["coverage"]
        covered = f", interval covers {coverage:.1%}" if coverage is not None else ""
        table.add_row(f"test {metric['test']['name']}", _against(metric["test"]) + covered)
    table.add_row("time", f"{seconds_since_enter():.1f} s, peak memory {content['peak_rss_bytes'] / 2**30:.2f} GiB")
    figures = telling_figures(content.get("against_estimate", {}), content["outcomes"].get("trained", 0))
    if estimate := _estimate(figures):
        table.add_row("estimated", estimate)
    SafeConsole().print(table)
    # Not in the table, which would cut it: a path is there to be copied.
    print(f"report: {summary.with_suffix('.html')}")


def _estimate(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Format the estimates with the ratio of the actual figures to them."""
    formats = {"train_seconds": format_duration, "score_seconds": format_duration, "peak_memory_bytes": _bytes}
    return ", ".join(
        f"{name.split('_')[0]} {format_figure(figures[name]['estimated'])} (actual × {figures[name]['ratio']:.2f})"
        for name, format_figure in formats.items()
        if name in figures and figures[name]["ratio"] is not None
    )


def _bytes(size: float) -> str:
    return format_bytes(round(size))


def _against(metric: dict[str, float | None]) -> str:
    champion, baseline = metric["champion"], metric["baseline"]
    if champion is None:
        return "no figure"
    return f"{champion:.4g}" + (f" against {baseline:.4g} of the naive baseline" if baseline is not None else "")
