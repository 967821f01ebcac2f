"""Output of `myriad check`: tables in a terminal, plain lines elsewhere, or JSON; problems come last."""

import sys
from collections.abc import Iterator

from rich.text import Text

from cli.views.console import SafeConsole
from cli.views.tables import Section, print_json, print_sections
from domain.checks.findings import ColumnFacts, Estimate, Findings, Role, SegmentFacts, SourceFacts, WindowFacts
from domain.config.database import scheme_of
from domain.reporting.formatting import format_bytes, format_count, format_duration, format_number, format_percent
from domain.reporting.printable import printable

__all__ = ["print_findings"]

_COLORS = {"error": "red", "warning": "yellow"}
_WINDOWS: dict[Role, str] = {"score.source": "scoring", "test.source": "test"}


def print_findings(findings: Findings, *, as_json: bool) -> None:
    """Print findings to standard output."""
    if as_json:
        print_json(findings)
        return
    print_sections(_sections(findings))
    console = SafeConsole(highlight=False)
    for problem in findings.problems:
        if sys.stdout.isatty():
            severity = Text(f"{problem.severity:<8}", style=_COLORS[problem.severity])
            console.print(severity, Text(printable(f"{problem.key}: {problem.message}")))
        else:
            print(f"{problem.severity}: {problem.key}: {problem.message}")
    print(_verdict(findings))


def _verdict(findings: Findings) -> str:
    warnings = len(findings.problems) - findings.errors
    counts = (format_count(findings.errors, "error", zero="no"), format_count(warnings, "warning", zero="no"))
    return f"fleet {findings.fleet}: {', '.join(counts)}"


def _sections(findings: Findings) -> Iterator[Section]:
    yield Section("files", [row for source in findings.sources for row in _source_rows(source)])
    if findings.columns:
        header = ("column", "used as", "type", "missing", "values", "from", "to", "examples")
        yield Section("columns", [_column_row(column) for column in findings.columns], header)
    if findings.segments:
        yield Section("segments", list(_segment_rows(findings, findings.segments)))
    windows = {role: facts for role, facts in _windows(findings).items() if facts}
    if windows:
        rows = [(_WINDOWS[role], _window_text(facts)) for role, facts in windows.items()]
        yield Section("other inputs", rows)
    if findings.estimate:
        accuracy = "within a factor of two" if findings.sources[0].whole else "a lower bound, from a sample"
        yield Section(f"estimate, {accuracy}", list(_estimate_rows(findings.estimate)))


def _windows(findings: Findings) -> dict[Role, WindowFacts | None]:
    return {"score.source": findings.score, "test.source": findings.test}


def _source_rows(source: SourceFacts) -> Iterator[tuple[str, str]]:
    read = "all read" if source.whole else f"a sample: {source.read_files:,} of them read"
    if not source.files:
        yield source.role, f"{source.path}: not readable"
        return
    inputs = f"{format_count(source.files, 'file')}, {_size(source.size_bytes)}"
    if scheme_of(source.path) is not None:  # A query has neither files nor a size.
        inputs = format_count(source.files, "slice")
    yield source.role, f"{source.path}: {inputs}, {read}"
    if source.rows:
        rejected = source.rows - source.accepted
        validity = f", {source.accepted:,} valid + {rejected:,} rejected" if source.accepted or source.rejected else ""
        yield "", f"{source.rows:,} rows{validity}"
    for reason, count in source.rejected.items():
        yield "", f"rejected {count:,} ({format_percent(count / source.rows, 1)}): {reason}"
    if source.unused:
        yield "", f"unused columns: {', '.join(source.unused)}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**10:,.0f} KiB" if size_bytes < 2**20 else format_bytes(size_bytes)


def _column_row(column: ColumnFacts) -> tuple[str, ...]:
    examples = ", ".join(text if len(text) <= 24 else text[:23] + "…" for text in column.examples)
    roles, missing = ", ".join(column.roles), format_percent(column.missing_share, 1)
    return column.name, roles, column.type, missing, f"{column.values:,}", column.low, column.high, examples


def _segment_rows(findings: Findings, facts: SegmentFacts) -> Iterator[tuple[str, str]]:
    yield "segments", f"{facts.count:,}"
    yield "rows per segment", f"{facts.rows_min:,} to {facts.rows_max:,}, median {format_number(facts.rows_median)}"
    yield f"fewer than {facts.min_rows} rows", f"{facts.short:,}"
    if findings.task_type.periodic:
        yield "ended long ago", f"{facts.ended:,}"
        if facts.merged:
            yield "merged into periods", f"{facts.merged:,} rows"
        yield "repeated rows", f"{facts.repeated:,}"
    if facts.below_minimum is not None:
        yield "below the minimum", format_percent(facts.below_minimum, 1)
    time = findings.time
    if time is not None:
        yield "time", f"{time.first} to {time.last} (UTC), frequency {time.frequency}"
        if time.distance_days is not None:
            fitting = f", which fits {time.fitting}" if time.fitting else ""
            yield "distance of rows", f"{time.distance_days:.4g} days (median){fitting}"


def _window_text(facts: WindowFacts) -> str:
    covered = f", {format_percent(facts.covered)} of segments x steps have a row" if facts.covered is not None else ""
    return f"{facts.segments:,} segments, {facts.unseen:,} of them unseen in training{covered}"


def _estimate_rows(estimate: Estimate) -> Iterator[tuple[str, str]]:
    own = estimate.models - estimate.levels
    yield "models", f"{estimate.models:,}: {own:,} of segments + {estimate.levels:,} of fallback levels"
    yield "backtest fits", f"{estimate.backtest_fits:,}"
    yield "train", f"{format_duration(estimate.train_seconds)} with {format_count(estimate.workers, 'worker')}"
    yield "score", format_duration(estimate.score_seconds)
    yield "peak memory", format_bytes(estimate.peak_memory_bytes)
    yield "lake", _size(estimate.lake_bytes)
