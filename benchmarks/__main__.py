"""Run benchmarks and write docs/benchmarks.md: all of them, or those named, whose sections are replaced."""

import sys
from pathlib import Path

from benchmarks import accuracy, fleet, hostile, register, scale_out, score, train, triggers

ROOT = Path(__file__).parents[1]
BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (fleet, scale_out, train, score, register, triggers, hostile, accuracy)
}
_HEAD = "# Benchmarks\n\nWritten by `make bench`. Times vary by machine; ratios are of one run.\n"


def main(names: list[str]) -> int:
    """Print what each benchmark prints, and keep it; 2 for a name that is none."""
    unknown = sorted(set(names) - BENCHMARKS.keys())
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
        return 2
    path = ROOT / "docs" / "benchmarks.md"
    sections = _sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names or BENCHMARKS:
        lines = BENCHMARKS[name].main()
        print("\n".join([name, *lines]), flush=True)
        sections[name] = _section(name, (BENCHMARKS[name].__doc__ or "").strip(), lines)
        # Each at once: those that follow take many minutes.
        told = [sections[known].strip() for known in BENCHMARKS if known in sections]
        path.write_text("\n\n".join([_HEAD.strip(), *told]) + "\n", encoding="utf-8")
    return 0


def _section(name: str, summary: str, lines: list[str]) -> str:
    told = [f"    {line}" if line.startswith(("machine:", "versions:", "command:")) else line for line in lines]
    return "\n".join([f"## {name}", "", summary, "", *told])


def _sections(text: str) -> dict[str, str]:
    """Sections of the document by name."""
    parts = text.split("\n## ")[1:]
    return {part.partition("\n")[0].strip(): f"## {part}" for part in parts}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
