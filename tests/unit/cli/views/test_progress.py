"""The table at the end of a run, from its JSON summary."""

import json

import pytest

from cli.views.progress import print_summary

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
