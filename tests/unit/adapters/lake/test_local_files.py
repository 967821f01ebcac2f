"""Links, special files and the kernel's own files: what a name in an input folder can lead to."""

import os
import threading

import pytest

from adapters.lake import local_files
from adapters.lake.files import digest, held_still, list_files, open_file
from adapters.lake.local_files import confined_to, open_regular
from domain.errors import SourceError


@pytest.fixture
def folders(tmp_path):
    for name in ("in", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("store,units\n1,5\n")
    return tmp_path


@pytest.mark.parametrize("target", ["/proc/self/environ", "/proc/self/status", "/dev/null", "/dev/zero"])
@pytest.mark.parametrize("open_it", [open_file, open_regular, digest])
def test_a_link_to_a_file_of_the_kernel_is_never_read(folders, target, open_it):
    link = folders / "in" / "env.csv"
    link.symlink_to(target)
    with pytest.raises(SourceError, match=r"env\.csv: not a data file: it is in a file system of the kernel"):
        open_it(str(link))


def test_a_kernel_file_is_refused_where_its_name_does_not_tell(folders, monkeypatch):
    monkeypatch.setattr(local_files, "_KERNEL", ())
    with pytest.raises(SourceError, match="not a regular file"):
        open_regular("/proc/self/environ")


def test_a_fifo_does_not_block(folders):
    os.mkfifo(folders / "in" / "pipe.csv")
    refusals = []

    def attempt():
        with pytest.raises(SourceError, match="not a regular file"):
            open_file(str(folders / "in" / "pipe.csv"))
        refusals.append(1)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert refusals == [1]


def test_a_link_to_another_file_is_followed_by_its_owner_and_not_for_a_request(folders):
    link = folders / "in" / "b.csv"
    link.symlink_to(folders / "elsewhere" / "a.csv")
    with open_file(str(link)) as stream:
        assert stream.read().startswith(b"store")
    with confined_to([str(folders / "in"), "s3://bucket/in"]):
        with open_file(str(folders / "in" / "a.csv")) as stream:
            assert stream.read()
        for read in (open_file, digest):
            with pytest.raises(SourceError, match=r"b\.csv: leads to a place outside the allowed folders"):
                read(str(link))


def test_a_root_may_be_a_link_itself(folders):
    (folders / "raw").symlink_to(folders / "in")
    with confined_to([str(folders / "raw")]):
        assert digest(str(folders / "raw" / "a.csv")) == digest(str(folders / "in" / "a.csv"))


def test_only_remote_roots_allow_no_local_file(folders):
    with confined_to(["s3://bucket"]), pytest.raises(SourceError, match="outside the allowed folders"):
        open_file(str(folders / "in" / "a.csv"))


@pytest.mark.parametrize("pattern", ["in/linked", "in/linked/*.csv"])
def test_a_folder_elsewhere_is_not_even_listed(folders, pattern):
    (folders / "in" / "linked").symlink_to(folders / "elsewhere")
    assert [file.uri for file in list_files(pattern, folders)] == [str(folders / "in/linked/a.csv")]
    with confined_to([str(folders / "in")]), pytest.raises(SourceError, match="outside the allowed folders"):
        list_files(pattern, folders)


def test_a_link_that_changes_between_the_check_and_the_opening_gains_nothing(folders, monkeypatch):
    link, inside, outside = folders / "in" / "b.csv", folders / "in" / "a.csv", folders / "elsewhere" / "a.csv"
    link.symlink_to(inside)
    real_open = os.open

    def swapped(path, *arguments, **options):
        link.unlink()
        link.symlink_to(outside)
        descriptor = real_open(path, *arguments, **options)
        link.unlink()
        link.symlink_to(inside)
        return descriptor

    monkeypatch.setattr(local_files.os, "open", swapped)
    with confined_to([str(folders / "in")]), pytest.raises(SourceError, match="replaced while it was opened"):
        open_file(str(link))


def test_a_file_that_is_held_still_is_checked_as_well(folders):
    (folders / "in" / "b.csv").symlink_to(folders / "elsewhere" / "a.csv")
    with (
        confined_to([str(folders / "in")]),
        pytest.raises(SourceError, match="outside"),
        held_still(str(folders / "in" / "b.csv")),
    ):
        digest(str(folders / "in" / "b.csv"))


def test_a_folder_is_an_error_of_the_storage(folders):
    with pytest.raises(IsADirectoryError):
        open_file(str(folders / "in"))
