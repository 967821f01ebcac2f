"""Output of `myriad new`: the choices, those to review, the estimate of a run, and the next commands."""

import json
from pathlib import Path

from rich.text import Text

from adapters.sources.scaffold import WrittenScaffold
from cli.views.console import SafeConsole
from domain.reporting.formatting import format_bytes, format_duration
from domain.reporting.printable import printable, printable_line

__all__ = ["print_scaffold"]


def print_scaffold(written: WrittenScaffold, home: Path, *, as_json: bool) -> None:
    """Print a summary of a scaffolded fleet to standard output."""
    name = written.scaffold.content["name"]
    path = str(written.path.relative_to(home) if written.path.is_relative_to(home) else written.path)
    reference = name if path == f"fleets/{name}.yaml" else path
    next_commands = [f"myriad check {reference}", f"myriad run {reference}"]
    if as_json:
        print(json.dumps(_document(written, path, next_commands), indent=2, ensure_ascii=False))
        return
    console = SafeConsole(highlight=False, soft_wrap=True)
    console.print(Text(printable(f"wrote {path}"), "bold"))
    for choice in written.scaffold.choices:
        console.print(Text(f"  {choice.key:<12}"), Text(printable_line(choice.value), "" if choice.sure else "yellow"))
    for choice in written.scaffold.open:
        console.print(Text("review:", "yellow"), Text(printable(f"{choice.key}: {choice.comment}")))
    for problem in written.findings.problems:
        console.print(Text("warning:", "yellow"), Text(printable(f"{problem.key}: {problem.message}")))
    console.print(Text(_estimate(written)))
    console.print(Text(printable("next:  " + "\n       ".join(next_commands))))


def _estimate(written: WrittenScaffold) -> str:
    estimate = written.findings.estimate
    if estimate is None:
        return "no estimate: too few rows were usable"
    seconds = format_duration(estimate.train_seconds + estimate.score_seconds)
    memory = format_bytes(estimate.peak_memory_bytes)
    return f"a run trains {estimate.models:,} models: about {seconds} and {memory} with {estimate.workers} workers"


def _document(written: WrittenScaffold, path: str, next_commands: list[str]) -> dict[str, object]:
    choices = [
        {"key": choice.key, "value": choice.value, "why": choice.why, "others": choice.others, "sure": choice.sure}
        for choice in written.scaffold.choices
    ]
    problems = [{"key": problem.key, "message": problem.message} for problem in written.findings.problems]
    estimate = written.findings.estimate
    return {
        "path": path,
        "fleet": written.scaffold.content,
        "choices": choices,
        "warnings": problems,
        "estimate": vars(estimate) if estimate else None,
        "next": next_commands,
    }
