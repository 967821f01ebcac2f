"""Run every benchmark and write docs/benchmarks.md."""

from pathlib import Path

from benchmarks import accuracy

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print what each benchmark prints, and keep it."""
    text = ["# Benchmarks", "", "Written by `make bench`. Times vary by machine; ratios are of one run.", ""]
    for module in (accuracy,):
        summary = (module.__doc__ or "").strip()
        name = module.__name__.rpartition(".")[2]
        lines = module.main()
        print("\n".join([name, *lines]), flush=True)
        text += [
            f"## {name}",
            "",
            summary,
            "",
            *(f"    {line}" if line.startswith(("machine", "versions", "command")) else line for line in lines),
            "",
        ]
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
