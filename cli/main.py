"""The `myriad` command: the first sign of life, then the commands, whose import takes longer."""

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path

from cli import first_line

__all__ = ["main"]

_READERS = frozenset({"status", "check", "explain"})
"""Commands that write nothing, and are over before pandas would be imported."""


def main() -> None:
    """Run the command line."""
    end = _QuickEnd()
    atexit.register(end.leave)  # Before all others, so that it runs after them.
    try:
        first_line.show(sys.argv[1:])
        _run()
    except KeyboardInterrupt:
        # While commands are imported: later ones have handlers of their own.
        end.code = 130
        first_line.erase()
        print("interrupted; nothing was begun", file=sys.stderr)
    except SystemExit as exc:
        end.code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        raise
    except BaseException:
        end.code = 1
        raise
    finally:
        first_line.erase()


class _QuickEnd:
    """Leave the process once all threads and exit handlers are done.

    To take the modules of Prefect and MLflow apart one by one takes seconds, with the summary on the screen already.
    """

    code = 0

    def leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(self.code)


def _run() -> None:
    from cli.app import app
    from cli.views.console import guard_output

    guard_output()
    if _READERS.intersection(sys.argv[1:2]):
        from adapters.late_pandas import import_pandas_late

        import_pandas_late()
    # Imported on demand, since it would slow down every `--help`.
    if Path(".env").is_file():
        from adapters.settings import load_environment

        load_environment(Path())
    app(prog_name="myriad")
