"""The document of the benchmarks, and what they work on."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as runner
from benchmarks.timing import by_turns, installed, peer, ratio
from benchmarks.workload import BUCKET, peer_rows, workload


@pytest.fixture
def document(tmp_path, monkeypatch):
    """Two benchmarks that print how often they were run."""
    calls = {"one": 0, "two": 0}

    def bench(name):
        def main():
            calls[name] += 1
            return ["machine: a", "", f"| {name} {calls[name]} |"]

        return SimpleNamespace(main=main, __doc__=f"About {name}.\n\nMore.", __name__=f"benchmarks.{name}")

    monkeypatch.setattr(runner, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "BENCHMARKS", {name: bench(name) for name in calls})
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs" / "benchmarks.md"


def test_benchmarks_that_are_named_replace_their_sections_and_keep_others(document):
    assert runner.main([]) == 0
    first = document.read_text()
    assert runner.main(["two"]) == 0
    assert document.read_text() == first.replace("| two 1 |", "| two 2 |")
    assert "## one\n\nAbout one.\n\nMore.\n\n    machine: a\n\n| one 1 |\n" in first


def test_a_benchmark_that_is_none_is_refused(document, capsys):
    assert runner.main(["three"]) == 2
    assert "there are one, two" in capsys.readouterr().out
    assert not document.exists()


def test_figures_are_taken_by_turns_and_compared_in_pairs():
    order = []

    def run(name, figures):
        def take():
            order.append(name)
            return next(figures)

        return take

    found = by_turns(3, ours=run("ours", iter([1.0, 2.0, 4.0])), theirs=run("theirs", iter([10.0, 10.0, 20.0])))
    assert order == ["ours", "theirs"] * 3
    assert ratio(found["theirs"], found["ours"]) == 5.0


def test_a_peer_without_its_environment_is_not_installed():
    assert installed("")
    assert not installed("nobody")


def test_a_peer_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"run_joblib.py failed in the environment of Myriad:\n(.|\n)*no-rows"):
        peer("", "run_joblib.py", "no-rows.parquet", 1)


def test_a_workload_is_a_fleet_in_buckets_and_as_rows():
    work = workload(150, ["ridge"])
    assert work.series.panel.values.shape == (150, 122)
    assert [len(bucket.segments) for bucket in work.buckets] == [BUCKET, 150 - BUCKET]
    assert np.isfinite(work.series.panel.values).all()
    rows = peer_rows(5)
    assert len(rows) == 5 * 122
    assert rows.groupby("segment").size().tolist() == [122] * 5
    assert len(rows.columns) - 3 == 12
