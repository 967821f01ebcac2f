"""Hostile names on their way to the terminal: rich and plain, errors, progress, logs and tracebacks."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.table import Table

from adapters.compute.progress import Progress, emit
from cli.common import report_errors
from cli.views.console import SafeConsole, guard_output, print_error
from cli.views.progress import display_progress
from cli.views.tables import Section, print_sections
from domain.errors import SourceError

ROOT = Path(__file__).parents[4]
HOSTILE = "store=\x1b]0;owned\x07\x1b[2J\u202e/\x9b31m\r"
SHOWN = "store=\\x1b]0;owned\\x07\\x1b[2J\\u202e/\\u009b31m\\x0d"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=[io.StringIO, Terminal])
def shown(request, monkeypatch):
    """Call a function in a guarded process; what its streams get: a pipe's or a terminal's."""

    def call(work):
        stream, factory = request.param(), logging.getLogRecordFactory()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            patch.setenv("COLUMNS", "200")
            guard_output()
            try:
                work(stream)
            finally:
                logging.setLogRecordFactory(factory)
        return stream.getvalue()

    return call


def assert_safe(text, times):
    assert text.count(SHOWN) == times
    assert "\x1b]" not in text
    assert not set(text) & set("\x07\r\x9b\u202e")
    assert "\x1b[2J" not in text


def test_tables(shown):
    assert_safe(shown(lambda _: print_sections([Section(HOSTILE, [(HOSTILE, "1")], (HOSTILE, "rows"))])), 3)


def test_a_line_break_in_a_cell_is_no_line_of_its_own(shown):
    forged = "a.csv\nfleet shop: no errors"
    text = shown(lambda _: print_sections([Section("title", [(forged, "1")], (forged, "rows"))]))
    assert text.count(r"a.csv\nfleet") == 2
    assert not any(line.startswith("fleet") for line in text.splitlines())


def test_columns_are_as_wide_as_what_is_shown(shown):
    section = Section("title", [("\x1b" * 5, "7"), ("plain", "8")], ("key", "n"))
    lines = [line.rstrip() for line in shown(lambda _: print_sections([section])).splitlines()]
    assert len({len(line) for line in lines if line.endswith(("7", "8"))}) == 1


def test_plain_text(shown):
    def write(_):
        print(HOSTILE)
        sys.stderr.writelines([HOSTILE, "\n"])
        typer.echo("\x07\u202e")

    text = shown(write)
    assert_safe(text, 2)
    assert text.endswith("\\x07\\u202e\n")


def test_errors(shown):
    text = shown(lambda stream: print_error(f"no segment {HOSTILE}"))
    assert_safe(text, 1)
    assert text in (f"no segment {SHOWN}\n", f"\x1b[31mno segment {SHOWN}\x1b[0m\n")


def test_errors_of_commands(shown):
    def fail(_):
        with pytest.raises(typer.Exit), report_errors():
            raise SourceError(f"{HOSTILE}: no such file")

    assert_safe(shown(fail), 1)


def test_a_console_escapes_what_nobody_escaped_before(shown):
    def write(_):
        table = Table(title=HOSTILE)
        table.add_column(HOSTILE)
        table.add_row(HOSTILE)
        SafeConsole(highlight=False).print(HOSTILE, table, markup=False)

    assert_safe(shown(write), 4)


def test_progress_bars(shown):
    def write(_):
        with display_progress():
            emit(Progress("ingest", 1, 1, HOSTILE))

    text = shown(write)
    assert SHOWN in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text


def test_the_cursor_still_moves_under_progress_bars_and_what_is_printed_beside_them_is_escaped(shown):
    def write(_):
        with display_progress():
            for done in range(3):
                emit(Progress("train", done, 3, "two"))
                print("printed \x9b")

    text = shown(write)
    assert not re.findall(r"\\x(?:0d|1b)", text)
    assert text.count("printed \\u009b") == 3
    assert ("\x1b[2K" in text) == ("\x1b" in text)


def test_log_lines_with_their_tracebacks(shown):
    def write(stream):
        handler = logging.StreamHandler(stream)  # past the guard, as handlers of Rich write
        log = logging.getLogger("hostile")
        log.addHandler(handler)
        try:
            {}[HOSTILE.encode()]
        except KeyError as exc:
            exc.add_note(HOSTILE)  # KeyError quotes its key
            log.exception("file %s", HOSTILE)
        finally:
            log.removeHandler(handler)

    assert_safe(shown(write), 2)


def test_streams_are_guarded_once_and_keep_their_nature(shown):
    def look(stream):
        first = sys.stdout
        guard_output()
        assert sys.stdout is first
        assert sys.stdout.isatty() == stream.isatty()

    shown(look)


def test_the_command_itself_in_a_terminal():
    """A pseudo-terminal, so that colours are on: only they are sent."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cli", "status", "no\x1b]0;owned\x07\u202efleet"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MYRIAD_LAKE": "/nonexistent/lake"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs, timeout=120, check=False)
    os.close(theirs)
    output = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 2
    assert "\\x1b]0;owned\\x07\\u202efleet" in output
    assert "\x1b]0" not in output
    assert "\x1b[31m" in output


def test_a_traceback_of_an_unexpected_error():
    code = (
        f"from cli.views.console import guard_output; guard_output(); raise KeyError({HOSTILE!r} and chr(27) + '[2J')"
    )
    code = code.replace("KeyError", "RuntimeError")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "RuntimeError: \\x1b[2J" in done.stderr
    assert "\x1b" not in done.stderr
