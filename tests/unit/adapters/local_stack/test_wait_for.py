"""Wait-for: one request to an http address, writes to a bucket until one succeeds."""

import pytest

from adapters.lake import files
from adapters.local_stack import wait_for


def test_a_bucket_is_written_to_until_a_write_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    failures, writes = iter(range(3)), []

    def put_once(uri: str, content: bytes) -> None:
        for _ in failures:
            raise OSError("not yet")
        writes.append((uri, content))

    monkeypatch.setattr(files, "put_once", put_once)
    monkeypatch.setattr(wait_for, "_POLL_S", 0.0)
    assert wait_for.main("s3://bucket/ready") == 0
    assert writes == [("s3://bucket/ready", b"ready\n")]


def test_a_bucket_that_stays_away_is_named_with_the_last_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def put_once(uri: str, content: bytes) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(files, "put_once", put_once)
    monkeypatch.setattr(wait_for, "_LIMIT_S", 0.0)
    assert wait_for.main("s3://bucket/ready") == 1
    assert capsys.readouterr().err == "s3://bucket/ready: no route to host\n"


def test_other_addresses_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for.main("ftp://host/file") == 1
    assert "give an http://, https:// or s3:// address" in capsys.readouterr().err
