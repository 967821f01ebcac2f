"""Files and folders that only their owner may read, whatever the umask is and whatever was there before."""

import os
import stat

import pytest

from adapters.private_files import make_private, private_folder, private_opener, write_private


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_file_is_its_owners_alone(tmp_path):
    write_private(tmp_path / "env", "secret")
    assert (mode(tmp_path / "env"), (tmp_path / "env").read_text()) == (0o600, "secret")
    with open(tmp_path / "log", "wb", opener=private_opener):
        pass
    assert mode(tmp_path / "log") == 0o600
    make_private(tmp_path / "empty")
    assert mode(tmp_path / "empty") == 0o600


def test_a_file_that_others_could_read_is_replaced_so_that_an_open_reader_gets_nothing(tmp_path):
    (tmp_path / "env").write_text("old")
    (tmp_path / "env").chmod(0o666)
    with (tmp_path / "env").open() as reader:
        write_private(tmp_path / "env", "secret")
        assert reader.read() == "old"
    assert mode(tmp_path / "env") == 0o600


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "env").symlink_to(tmp_path / "elsewhere")
    write_private(tmp_path / "env", "secret")
    assert (tmp_path / "elsewhere").read_text() == "old"
    assert not (tmp_path / "env").is_symlink()


def test_a_failed_write_leaves_no_draft(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_private(tmp_path / "env", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_an_open_folder_is_tightened_with_all_that_is_in_it(tmp_path):
    state = tmp_path / "stack"
    (state / "volumes/s3").mkdir(parents=True)
    for path, bits in (("env", 0o644), ("volumes/s3/1.dat", 0o664), ("volumes/run", 0o755)):
        (state / path).write_text("")
        (state / path).chmod(bits)
    (tmp_path / "not-ours").write_text("")
    (tmp_path / "not-ours").chmod(0o644)
    (state / "link").symlink_to(tmp_path / "not-ours")
    private_folder(state)
    readable = [path for path in state.rglob("*") if not path.is_symlink() and mode(path) & 0o066]
    assert (mode(state), readable) == (0o700, [])
    assert mode(state / "volumes/run") == 0o700
    assert mode(tmp_path / "not-ours") == 0o644


@pytest.mark.parametrize(("others_enter", "bits"), [(False, 0o700), (True, 0o711)])
def test_a_new_folder_cannot_be_listed_by_others(tmp_path, others_enter, bits):
    private_folder(tmp_path / "a/b", others_enter=others_enter)
    assert mode(tmp_path / "a/b") == bits
    private_folder(tmp_path / "a/b", others_enter=others_enter)
    assert mode(tmp_path / "a/b") == bits
