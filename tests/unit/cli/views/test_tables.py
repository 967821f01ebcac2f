"""Sections in a terminal, as lines, and figures of a stage."""

import sys

import pytest

from cli.views.tables import Section, print_figures, print_sections, text_bar

HOSTILE = "s=[red]a[/] b/日本%2F"


@pytest.fixture(params=[True, False], ids=["terminal", "lines"])
def shown(request, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: request.param)

    def show(*sections):
        print_sections(sections)
        return capsys.readouterr().out

    return show


def test_names_are_shown_as_they_are_in_titles_heads_and_cells(shown):
    text = shown(Section(f"of {HOSTILE}", [(HOSTILE, "1")], (HOSTILE, "rows")))
    assert text.count(HOSTILE) == 3


def test_sections_without_rows_are_left_out(shown):
    assert shown(Section("empty", []), Section("empty too", [], ("a", "b"))) == ""


def test_numbers_end_below_each_other(shown):
    lines = shown(Section("files", [("a", "7"), ("b", "1,000")], ("name", "rows"), frozenset({1}))).splitlines()
    (short,) = (line for line in lines if "7" in line)
    (long,) = (line for line in lines if "1,000" in line)
    assert len(short.rstrip()) == len(long.rstrip())


def test_figures_of_a_stage_are_read_by_people(capsys, monkeypatch):
    monkeypatch.setattr("cli.views.tables.seconds_since_enter", lambda: 61.0)
    gates = {"rows": {"passed": 7, "failed": 0}, "latency": {"passed": 5, "noted": 2}}
    figures = {"release": None, "held_segments": (), "gates": gates, "outcomes": {"trained": 1200, "failed": 0}}
    print_figures("promote of shop", {"promote": {"repeated": True, **figures}})
    assert capsys.readouterr().out.splitlines() == [
        "promote of shop",
        "  repeated  yes",
        "  gates     rows: 7 passed; latency: 5 passed, 2 noted",
        "  outcomes  1,200 trained",
        "  time      1 min 01 s",
    ]


def test_long_lists_are_cut_and_say_so(capsys):
    print_figures("ingest", {"ingest": {"refused": tuple(f"{place}.csv" for place in range(7))}})
    assert "0.csv; 1.csv; 2.csv; 3.csv; 4.csv; and 2 more" in capsys.readouterr().out


def test_shares_are_bars():
    assert (text_bar(0.0), text_bar(0.001), text_bar(1.0, 10)) == ("", "█", "█" * 10)
