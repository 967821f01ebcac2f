"""The `myriad` command: the first sign of life, then the commands, whose import takes longer."""

import sys
from pathlib import Path

from cli import first_line

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    first_line.show(sys.argv[1:])
    try:
        _run()
    finally:
        first_line.erase()


def _run() -> None:
    from adapters.late_pandas import import_pandas_late
    from cli.app import app
    from cli.views.console import guard_output

    guard_output()
    import_pandas_late()
    # Imported on demand, since it would slow down every `--help`.
    if Path(".env").is_file():
        from adapters.settings import load_environment

        load_environment(Path())
    app(prog_name="myriad")
