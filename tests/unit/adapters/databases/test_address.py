import pytest

from adapters.databases.address import resolve_address
from domain.errors import DatabaseError


def test_an_address_shows_neither_user_nor_password(tmp_path, monkeypatch):
    monkeypatch.setenv("SINK", "postgresql+psycopg://svc:p%40ss%2Fword@db.example.org:5433/sales?sslmode=require")
    address = resolve_address("env:SINK", tmp_path, "sink.url")
    assert address.shown == "postgresql://db.example.org:5433/sales"
    assert "p@ss/word" in address.target
    assert "sslmode=require" in address.target
    assert not any(secret in f"{address!r} {address}" for secret in ("p@ss", "p%40ss", "svc"))
    assert address.masked("no: p@ss/word") == "no: ***"


def test_the_password_may_come_from_the_library_s_own_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "of the environment")
    address = resolve_address("postgresql://svc@db.example.org/sales", tmp_path, "sink.url")
    assert address.masked("with of the environment") == "with ***"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://svc:sec@ret@db.example.org/sales",
        "postgresql://svc:sec/ret@db.example.org/sales",
        "postgresql://svc:sec#ret@db.example.org/sales",
        "postgresql://svc:sec%zzret@db.example.org/sales",
        "postgresql://svc:secret@db.example.org/sales?secret=1",
        "secret",
        "mysql://svc:secret@db.example.org/sales",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(tmp_path, monkeypatch, url):
    monkeypatch.setenv("SINK", url)
    with pytest.raises(DatabaseError, match=r"^environment variable SINK: ") as caught:
        resolve_address("env:SINK", tmp_path, "sink.url")
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("SINK", raising=False)
    with pytest.raises(DatabaseError, match="environment variable SINK: is not set"):
        resolve_address("env:SINK", tmp_path, "sink.url")


@pytest.mark.parametrize(("url", "path"), [("sqlite:///a/b.db", "a/b.db"), ("duckdb:////a%20b.db", "/a b.db")])
def test_files_are_relative_to_home_unless_they_are_not(tmp_path, url, path):
    assert resolve_address(url, tmp_path, "sink.url").target == str(tmp_path / path)


@pytest.mark.parametrize("url", ["sqlite://b.db", "sqlite:///", "duckdb://"])
def test_a_file_needs_three_slashes(tmp_path, url):
    with pytest.raises(DatabaseError, match="three slashes"):
        resolve_address(url, tmp_path, "sink.url")
