"""The journal: entries by key that only ever save work; over a local folder and over S3."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.lake.checkpoints import Checkpoints

KEY = "store=1/brand=Größe ≤ 5"


@pytest.fixture(params=["local", "s3"])
def journal(request, tmp_path):
    if request.param == "local":
        return Checkpoints(str(tmp_path / "lake/shop/_journal"), "train", "0a1b")
    request.getfixturevalue("s3")
    return Checkpoints(f"s3://lake/{uuid.uuid4().hex}/_journal", "train", "0a1b")


def test_entries_come_back_by_key(journal):
    assert journal.names() == frozenset()
    assert journal.read(KEY) is None
    journal.write(KEY, b"{}")
    journal.write("b", b"1")
    journal.write("b", b"2")
    assert journal.names() == {journal.name(KEY), journal.name("b")}
    assert (journal.read(KEY), journal.read("b"), journal.read("c")) == (b"{}", b"2", None)


def test_clearing_takes_every_basis_of_the_stage_and_no_other_stage(journal):
    others = [replace(journal, basis="ffff"), replace(journal, stage="train-levels"), replace(journal, stage="score")]
    for one in (journal, *others):
        one.write("a", b"1")
    journal.clear()
    assert [one.read("a") for one in (journal, *others)] == [None, None, b"1", b"1"]
    assert journal.names() == frozenset()
    journal.clear()
    journal.write("a", b"2")
    assert journal.read("a") == b"2"


def test_runs_that_write_read_and_clear_at_once_do_not_break_each_other(journal):
    def work(number):
        for turn in range(6):
            journal.write(f"{turn}", b"1")
            assert journal.read(f"{turn}") in (b"1", b"", None)
            journal.names()
            if number % 2:
                journal.clear()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    journal.clear()
    assert journal.names() == frozenset()


def test_a_storage_that_refuses_costs_nothing_but_the_entry(tmp_path):
    (tmp_path / "file").write_text("in the way")
    journal = Checkpoints(str(tmp_path / "file/_journal"), "train", "0a1b")
    journal.write("a", b"1")
    assert journal.read("a") is None
    assert journal.names() == frozenset()
    journal.clear()
    assert Path(tmp_path / "file").read_text() == "in the way"
