"""Calls in a process of their own: errors come back as they are, and nothing stays behind."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from domain.errors import ClusterError, FleetError
from myriad import runs
from myriad.progress import LineProgress, NotebookProgress, progress_display
from myriad.runs import call

ROOT = Path(__file__).parents[3]


def ignore(progress):
    """Show nothing."""


def test_an_error_of_the_domain_arrives_as_it_is_also_within_a_loop(tmp_path):
    async def within_a_loop():
        call("run_all", home=tmp_path, lake=None, show=ignore, fleet="nothing")

    before = set(psutil.Process().children())
    with pytest.raises(FleetError, match=r"fleets/nothing\.yaml: cannot be read"):
        asyncio.run(within_a_loop())
    assert set(psutil.Process().children()) <= before


def test_modules_in_the_home_do_not_hide_ours(tmp_path):
    for name in ("models", "tasks", "domain"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not ours')")
    with pytest.raises(FleetError, match="cannot be read"):
        call("run_all", home=tmp_path, lake=None, show=ignore, fleet="nothing")


def test_a_defect_keeps_the_traceback_of_its_process(tmp_path):
    with pytest.raises(ValueError, match="not one of") as caught:
        call("delete_all", home=tmp_path, lake=None, show=ignore)
    assert "in _act" in "".join(caught.value.__notes__)


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text("import os; print('no more memory', flush=True); os.abort()")
    monkeypatch.setattr(runs, "_MODULE", "dying")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ClusterError, match=r"(?s)signal 6.*no more memory"):
        call("run_all", home=tmp_path, lake=None, show=ignore, fleet="x")


SLEEPER = """
import subprocess, sys, time
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1])); connection.recv()
child = subprocess.Popen(["sleep", "300"])
connection.send(("progress", "work", 0, 1, str(child.pid)))
time.sleep(300)
"""


def test_an_interrupt_ends_the_process_with_all_that_it_started(tmp_path, monkeypatch):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    monkeypatch.setattr(runs, "_MODULE", "sleeper")
    monkeypatch.syspath_prepend(tmp_path)
    started, before = [], set(psutil.Process().children())

    def interrupt(progress):
        started.append(int(progress.note))
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        call("run_all", home=tmp_path, lake=None, show=interrupt, fleet="x")
    end = time.monotonic() + 20
    while psutil.pid_exists(started[0]) and psutil.Process(started[0]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert set(psutil.Process().children()) <= before


def test_a_run_ends_when_its_parent_is_gone(tmp_path):
    (tmp_path / "fleets").mkdir()
    code = (
        "import sys; from multiprocessing.connection import Connection; from myriad import worker\n"
        "worker._act = lambda *_: __import__('time').sleep(300)\n"
        "worker.main(int(sys.argv[1]))"
    )
    mine, other = runs.Pipe()
    process = subprocess.Popen([sys.executable, "-c", code, str(other.fileno())], cwd=ROOT, pass_fds=[other.fileno()])
    other.close()
    mine.send(("run_all", (), {}))
    mine.close()
    assert process.wait(60) == 128 + signal.SIGTERM


def test_progress_is_silent_lines_or_a_table(capsys):
    from adapters.compute.progress import Progress

    progress_display(shown=False)(Progress("train", 1, 1, "note"))
    assert capsys.readouterr() == ("", "")
    lines = progress_display(shown=True)
    assert isinstance(lines, LineProgress)
    for done in range(3):
        lines(Progress("train", done, 2, "a\x1b[2J" if not done else ""))
    output = capsys.readouterr()
    assert not output.out
    assert [line.split("s  ")[1] for line in output.err.splitlines()] == ["train: a\\x1b[2J", "train: 2 of 2"]


def test_the_table_of_a_notebook_keeps_notes_and_counts_and_escapes(monkeypatch):
    from adapters.compute.progress import Progress

    monkeypatch.setattr(NotebookProgress, "_show", lambda self: None)
    table = NotebookProgress()
    table(Progress("plan", 0, 0, "<b>9 models</b>"))
    table(Progress("plan", 1, 2))
    table(Progress("plan", 0, 0))
    page = table.page()
    assert "1 of 2" in page
    assert "&lt;b&gt;9 models" in page
