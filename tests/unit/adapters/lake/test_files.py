"""Files by uri: which ones a pattern names, and what tells that one changed."""

import contextlib
import os
import threading
import time
import uuid

import fsspec
import pytest

from adapters.lake.files import RawFile, digest, held_still, list_files, open_file, replacing
from domain.errors import SourceError


def names(files, root):
    return [file.uri.removeprefix(f"{root}/") for file in files]


def make(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")


def test_one_file_by_relative_absolute_and_file_uri(tmp_path):
    make(tmp_path, "a.csv")
    for pattern in ("a.csv", f"{tmp_path}/a.csv", f"file://{tmp_path}/a.csv"):
        assert names(list_files(pattern, tmp_path), tmp_path) == ["a.csv"]


def test_a_folder_names_all_files_below_it_by_name(tmp_path):
    make(tmp_path, "in/b.csv", "in/a.csv", "in/2024/c.csv", "other/d.csv")
    for pattern in ("in", "in/"):
        assert names(list_files(pattern, tmp_path), tmp_path) == ["in/2024/c.csv", "in/a.csv", "in/b.csv"]


def test_a_glob_names_matching_files_but_no_folders(tmp_path):
    make(tmp_path, "in/a.csv", "in/b.parquet", "in/c.csv/part.csv", "in/deep/d.csv")
    assert names(list_files("in/*.csv", tmp_path), tmp_path) == ["in/a.csv"]
    assert names(list_files("in/**/*.csv", tmp_path), tmp_path) == ["in/a.csv", "in/c.csv/part.csv", "in/deep/d.csv"]


@pytest.mark.parametrize("pattern", ["in", "in/**", "in/**/*.csv"])
def test_hidden_files_and_those_in_progress_are_left_out(tmp_path, pattern):
    make(tmp_path, "in/a.csv", "in/.a.csv", "in/_SUCCESS.csv", "in/.git/b.csv", "in/_temporary/0/part.csv")
    assert names(list_files(pattern, tmp_path), tmp_path) == ["in/a.csv"]


def test_a_name_that_is_no_text_is_left_out_and_named(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    odd = os.fsencode(tmp_path) + b"/b\xff\xfe.csv"
    with open(odd, "wb"):  # noqa: PTH123 - a path of bytes
        pass
    unusable = []
    for pattern in (str(tmp_path), f"{tmp_path}/*.csv"):
        assert [file.uri for file in list_files(pattern, tmp_path, unusable)] == [f"{tmp_path}/a.csv"]
    assert unusable == [f"{tmp_path}/b\\udcff\\udcfe.csv: the name of the file is not UTF-8 text; rename it"] * 2
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match="is not UTF-8 text; rename it"):
        list_files(str(tmp_path), tmp_path)


def test_what_the_pattern_spells_out_is_not_hidden(tmp_path):
    make(tmp_path, "_raw/a.csv", "_raw/.b.csv", "_c.csv")
    assert names(list_files("_raw", tmp_path), tmp_path) == ["_raw/a.csv"]
    assert names(list_files("_raw/*.csv", tmp_path), tmp_path) == ["_raw/a.csv"]
    assert names(list_files("_c.csv", tmp_path), tmp_path) == ["_c.csv"]


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(tmp_path):
    make(tmp_path, "in[1]/sales[2].csv", "in[1]/sales2.csv")
    assert names(list_files("in[1]/sales[2].csv", tmp_path), tmp_path) == ["in[1]/sales[2].csv"]
    assert names(list_files("in[1]", tmp_path), tmp_path) == ["in[1]/sales2.csv", "in[1]/sales[2].csv"]


def test_a_link_to_nowhere_is_left_out(tmp_path):
    make(tmp_path, "in/a.csv")
    (tmp_path / "in/b.csv").symlink_to(tmp_path / "gone.csv")
    assert names(list_files("in", tmp_path), tmp_path) == ["in/a.csv"]


@pytest.mark.parametrize("pattern", ["in", "in/*.csv", "in/**/*.csv"])
def test_a_link_to_a_file_is_one_and_links_in_a_circle_are_left_out(tmp_path, pattern):
    make(tmp_path, "in/a.csv", "other/b.csv")
    (tmp_path / "in/b.csv").symlink_to("../other/b.csv")
    (tmp_path / "in/self.csv").symlink_to("self.csv")
    (tmp_path / "in/loop").symlink_to(".")
    assert names(list_files(pattern, tmp_path), tmp_path) == ["in/a.csv", "in/b.csv"]
    assert list_files("in/b.csv", tmp_path)[0].size == 1
    assert names(list_files("in/loop", tmp_path), tmp_path) == ["in/loop/a.csv", "in/loop/b.csv"]


def test_what_is_neither_file_nor_folder_is_left_out(tmp_path):
    make(tmp_path, "in/a.csv", "in/folder.csv/deep.csv")
    os.mkfifo(tmp_path / "in/pipe.csv")
    assert names(list_files("in/*.csv", tmp_path), tmp_path) == ["in/a.csv"]
    for pattern in ("in/pipe.csv", "in/self.csv"):
        with pytest.raises(SourceError, match="no file matches"):
            list_files(pattern, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "age_s", "waits"),
    [
        *[("a.csv", content, 0, False) for content in ("a\n1\n", "a\r1\r", "", "PAR1 and so on PAR1")],
        ("a.csv.gz", "unfinished", 0, False),
        ("a.csv", "a\n123", 100, False),
        ("a.csv", "a\n123", 0, True),
    ],
)
def test_only_a_fresh_file_that_ends_within_a_line_is_waited_for(tmp_path, monkeypatch, name, content, age_s, waits):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    (tmp_path / name).write_bytes(content.encode())
    os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    with held_still(str(tmp_path / name)):
        pass
    assert (sum(slept) > 1) == waits
    assert sum(slept) <= 2


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"a.csv: it is still being written"), held_still(str(path)):
        path.write_text("a\n1\n2\n")
    with pytest.raises(SourceError, match=r"a.csv: cannot be read: .*No such file"), held_still(str(path)):
        path.unlink()


def test_a_line_that_is_written_in_two_parts_is_waited_for(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n12")
    read = []
    with path.open("a") as writer:
        later = threading.Timer(0.3, lambda: print("3", file=writer, flush=True))
        later.start()
        with pytest.raises(SourceError, match="still being written"), held_still(str(path)):
            read.append(path.read_text())
        later.join()
    assert read == []


@pytest.mark.parametrize("pattern", ["missing.csv", "in/*.csv", "in"])
def test_no_match_is_an_error_that_says_where_it_looked(tmp_path, pattern):
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match=rf"no file matches .*{tmp_path}"):
        list_files(pattern, tmp_path)


def test_an_unknown_scheme_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"ftp://x/a\.csv: unknown scheme"):
        list_files("ftp://x/a.csv", tmp_path)


def test_the_stamp_changes_with_size_and_time_and_the_digest_with_content_alone(tmp_path):
    make(tmp_path, "a.csv")
    first, content = list_files("a.csv", tmp_path)[0], digest(f"{tmp_path}/a.csv")
    assert list_files("a.csv", tmp_path)[0] == first
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    touched = list_files("a.csv", tmp_path)[0]
    assert touched.stamp != first.stamp
    assert touched.path_id == first.path_id
    assert digest(f"{tmp_path}/a.csv") == content
    (tmp_path / "a.csv").write_text("y")
    assert digest(f"{tmp_path}/a.csv") != content


def test_a_file_knows_when_it_was_modified(tmp_path):
    make(tmp_path, "a.csv")
    os.utime(tmp_path / "a.csv", ns=(1, 1_700_000_000_500_000_000))
    assert list_files("a.csv", tmp_path)[0].modified == 1_700_000_000.5


def test_path_ids_differ_between_places():
    assert RawFile("/a/b.csv", 1, "s").path_id != RawFile("/a/c.csv", 1, "s").path_id


def test_replacing_takes_the_place_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "report.html"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    with contextlib.suppress(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "whole"
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def test_files_on_s3_are_listed_stamped_and_read(s3, tmp_path):
    root, storage = f"lake/{uuid.uuid4().hex}", fsspec.filesystem("s3")
    for path in ("in/a.csv", "in/deep/b.csv", "in/_temporary/c.csv", "in/.d.csv"):
        storage.pipe(f"{root}/{path}", b"one")
    assert names(list_files(f"s3://{root}/in", tmp_path), f"s3://{root}") == ["in/a.csv", "in/deep/b.csv"]
    assert names(list_files(f"s3://{root}/in/*.csv", tmp_path), f"s3://{root}") == ["in/a.csv"]
    before = list_files(f"s3://{root}/in/a.csv", tmp_path)[0]
    assert abs(before.modified - time.time()) < 600
    assert list_files(f"s3://{root}/in", tmp_path)[0].modified == before.modified
    storage.pipe(f"{root}/in/a.csv", b"two")
    storage.pipe(f"{root}/in/new.csv", b"new")
    after = list_files(f"s3://{root}/in/a.csv", tmp_path)[0]
    assert (before.uri, before.size) == (after.uri, after.size)
    assert before.stamp != after.stamp
    assert len(list_files(f"s3://{root}/in", tmp_path)) == 3
    with open_file(after.uri) as stream:
        assert stream.read() == b"two"
    with pytest.raises(SourceError, match="no file matches"):
        list_files(f"s3://{root}/none/", tmp_path)


def test_a_bucket_that_is_not_there_is_an_error_with_its_name(s3, tmp_path):
    with pytest.raises(SourceError, match="s3://no-such-bucket/in"):
        list_files("s3://no-such-bucket/in/*.csv", tmp_path)
