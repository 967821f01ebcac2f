"""The table at the end of a run, from its JSON summary."""

import io
import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from adapters.compute.progress import Progress, emit
from cli.views.console import SafeConsole
from cli.views.progress import display_progress, print_summary

ROOT = Path(__file__).parents[4]

SUMMARY = {
    "fleet": "shop",
    "run_id": "run-1",
    "rows": {"read": 10, "accepted": 9, "quarantined": 1},
    "outcomes": {"trained": 2},
    "segments": 2,
    "registered": 2,
    "promoted": 2,
    "held": 0,
    "release": 1,
    "predictions": 4,
    "metric": {"name": "wape", "champion": 0.5, "baseline": 0.6, "test": None},
    "stages": [],
    "peak_rss_bytes": 0,
    "config": {},
}


@pytest.fixture
def shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def show(*refused):
        content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": refused}}
        (tmp_path / "run.json").write_text(json.dumps(content))
        print_summary(tmp_path / "run.json")
        return capsys.readouterr().out

    return show


def test_an_estimate_stands_beside_what_it_came_to(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    figures = {
        "train_seconds": {"estimated": 6.0, "actual": 5.4, "ratio": 0.9},
        "score_seconds": {"estimated": 0.0, "actual": 1.0, "ratio": None},
        "peak_memory_bytes": {"estimated": 2**31, "actual": 2**30, "ratio": 0.5},
    }
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}, "against_estimate": figures}
    (tmp_path / "run.json").write_text(json.dumps(content))
    print_summary(tmp_path / "run.json")
    assert "train 6.00 s (actual × 0.90), peak 2.00 GiB (actual × 0.50)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcomes", "estimated"), [({"reused": 2}, 60.0), ({"trained": 2}, 0.6)], ids=["nothing trained", "start-up rules"]
)
def test_an_estimate_that_cannot_be_compared_is_left_out(tmp_path, capsys, outcomes, estimated):
    figures = {"train_seconds": {"estimated": estimated, "actual": 9.0, "ratio": 9.0 / estimated}}
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}, "against_estimate": figures}
    (tmp_path / "run.json").write_text(json.dumps(content | {"outcomes": outcomes}))
    print_summary(tmp_path / "run.json")
    assert "estimated" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
def test_the_path_of_the_report_is_never_cut(tmp_path, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    folder = tmp_path / ("a folder with a name that is long " * 3).strip()
    folder.mkdir()
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}}
    (folder / "run.json").write_text(json.dumps(content))
    print_summary(folder / "run.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"report: {folder / 'run.html'}"
    assert max(len(line.rstrip()) for line in lines[:-1]) <= columns


def test_the_time_is_that_of_the_user(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cli.views.progress.seconds_since_enter", lambda: 12.34)
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    print_summary(tmp_path / "run.json")
    assert "12.3 s, peak memory" in capsys.readouterr().out


def test_the_seconds_since_enter_are_those_of_the_process():
    began = time.monotonic()
    code = "import time; time.sleep(0.3); from cli.clock import seconds_since_enter; print(seconds_since_enter())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert 0.3 <= float(done.stdout) <= time.monotonic() - began + 0.05


@pytest.mark.parametrize("columns", [80, 120])
def test_notes_stand_above_the_bars_and_leave_them_their_room(monkeypatch, columns):
    terminal = io.StringIO()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    console = partial(SafeConsole, file=terminal, force_terminal=True, width=columns)
    monkeypatch.setattr("cli.views.progress.SafeConsole", console)
    note = "33 of 36 segments and 16 fallback models to train: about 1.12 s, 1.17 GiB, by built-in figures"
    with display_progress():
        emit(Progress("plan", 36, 36, note))
        emit(Progress("train", 3, 6))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert f"plan: {note}" in text.replace("\n", " ").replace("\r", " ").replace("  ", " ")
    bar = next(line for line in reversed(text.splitlines()) if "train" in line)
    assert bar.count("━") + bar.count("╸") + bar.count("╺") >= 30
    assert "3/6" in bar


def test_refused_files_are_shown_as_they_are_named(shown):
    assert "files refused" not in shown()
    text = shown("in/sales[red].csv: no column price", *(f"in/{number}.csv: the file is empty" for number in range(6)))
    assert "7 of 9" in text
    assert "in/sales[red].csv: no column price" in text
    assert "in/3.csv" in text
    assert "in/4.csv" not in text
    assert "and 2 more" in text


def test_a_run_without_a_release_says_why(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    content = SUMMARY | {"release": None, "config": {"promotion": "7 of 7 challengers failed a gate"}}
    (tmp_path / "run.json").write_text(json.dumps(content | {"files": {"found": 1, "unchanged": 0, "refused": []}}))
    print_summary(tmp_path / "run.json")
    assert "none: 7 of 7 challengers failed a gate" in capsys.readouterr().out


def test_the_table_says_that_a_run_was_for_a_part_of_the_fleet(tmp_path, capsys):
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}, "config": {"part": "store=1/*"}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    print_summary(tmp_path / "run.json")
    assert "only segments that match store=1/*; the others keep their" in capsys.readouterr().out


def labels(text):
    """First column of a table of the terminal, and the label of the line below it."""
    rows = re.findall(r"^│ (\S.*?) +│", text, flags=re.MULTILINE)
    return [*rows, *re.findall(r"^(report): ", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_documents_show_the_table_as_it_is(tmp_path, capsys, monkeypatch, page):
    monkeypatch.setenv("COLUMNS", "200")
    metric = {"name": "smape", "champion": 13.4, "baseline": 17.2, "coverage": 0.9}
    content = SUMMARY | {"files": {"found": 9, "unchanged": 0, "refused": []}, "metric": metric | {"test": metric}}
    (tmp_path / "run.json").write_text(json.dumps(content))
    print_summary(tmp_path / "run.json")
    printed = labels(capsys.readouterr().out)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    tables = [block for block in blocks if "│ rows " in block]
    assert tables
    for block in tables:
        shown = [label.replace("wape", "smape") for label in labels(block)]
        assert [label for label in printed if label in shown] == shown
    if page == "README.md":
        assert labels(tables[0]) == printed
