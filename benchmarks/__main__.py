"""Run all or some benchmarks and write their sections of docs/benchmarks.md."""

import argparse
import sys
from pathlib import Path

from benchmarks import accuracy, databases, fleet, hostile, register, scale_out, score, terminal, train, triggers

ROOT = Path(__file__).parents[1]
BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (fleet, scale_out, train, score, register, triggers, databases, hostile, terminal, accuracy)
}
_HEAD = "# Benchmarks\n\nWritten by `make bench`. Times vary by machine; ratios are of one run.\n"


def main(names: list[str]) -> int:
    """Run benchmarks, print their lines and write them to the document. Returns 2 for an unknown name."""
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
        # After each benchmark, because the following ones take many minutes.
        document = [_HEAD.strip(), *(sections[known].strip() for known in BENCHMARKS if known in sections)]
        path.write_text("\n\n".join(document) + "\n", encoding="utf-8")
    return 0


def _section(name: str, summary: str, lines: list[str]) -> str:
    prefixes = ("machine:", "versions:", "command:")
    indented = [f"    {line}" if line.startswith(prefixes) else line for line in lines]
    return "\n".join([f"## {name}", "", summary, "", *indented])


def _sections(text: str) -> dict[str, str]:
    """Split the document into its sections, by name."""
    parts = text.split("\n## ")[1:]
    return {part.partition("\n")[0].strip(): f"## {part}" for part in parts}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all without a name")
    sys.exit(main(parser.parse_args().names))
