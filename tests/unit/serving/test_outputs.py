"""Downloads: however often an output is asked for, it is written once, and the disk stays within its limit."""

import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from gateway import complete, gateway, is_problem

from domain.data.tables import PREDICTIONS
from serving import outputs
from serving.outputs import OutputCache
from serving.problem_details import ProblemError

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}


def writer(size, log=None):
    def build(path, before_part):
        before_part()
        path.write_bytes(b"x" * size)
        if log is not None:
            log.append(path)

    return build


def test_an_output_is_written_once_whoever_asks_for_it(tmp_path):
    cache, log = OutputCache(tmp_path / "outputs", 1 << 20, most_readers=50), []

    def slow(path, before_part):
        time.sleep(0.2)
        writer(1000, log)(path, before_part)

    with ThreadPoolExecutor(20) as pool:
        files = list(pool.map(lambda _: cache.open("job csv", ("link",), slow), range(20)))
    assert len(log) == 1
    assert {file.etag for file in files} == {files[0].etag}
    assert stat.S_IMODE(files[0].path.stat().st_mode) == 0o600
    assert stat.S_IMODE(files[0].path.parent.stat().st_mode) == 0o700
    assert cache.open("job parquet", (), slow).etag != files[0].etag


def test_the_folder_keeps_its_limit_and_what_was_read_last(tmp_path):
    cache = OutputCache(tmp_path / "outputs", 10_000)
    for number in range(50):
        cache.open(f"job {number}", (), writer(1000)).close()
        if number > 5:
            cache.open("job 3", (), writer(1000)).close()  # read again and again
        for position, file in enumerate(
            sorted((tmp_path / "outputs").iterdir(), key=lambda file: file.stat().st_mtime)
        ):
            os.utime(file, (position, position))  # the clock of files is too coarse for a test
    assert sum(file.stat().st_size for file in (tmp_path / "outputs").iterdir()) <= 10_000
    log = []
    cache.open("job 3", (), writer(1000, log)).close()
    cache.open("job 49", (), writer(1000, log)).close()
    assert log == []
    cache.open("job 4", (), writer(1000, log)).close()
    assert len(log) == 1


def test_a_file_that_is_read_is_not_deleted(tmp_path):
    cache = OutputCache(tmp_path / "outputs", 1_000)
    file = cache.open("first", (), writer(1000))
    for number in range(5):
        cache.open(f"job {number}", (), writer(1000)).close()
    assert file.path.exists()
    file.close()
    cache.open("last", (), writer(1000)).close()
    assert not file.path.exists()


def test_readers_are_limited_each_and_get_their_place_back(tmp_path):
    cache = OutputCache(tmp_path / "outputs", 1 << 20, most_readers=2)
    files = [cache.open("job", ("link a", "address"), writer(10)) for _ in range(2)]
    with pytest.raises(ProblemError, match="2 downloads of this client, link or address") as info:
        cache.open("job", ("link a",), writer(10))
    assert info.value.status == 429
    with pytest.raises(ProblemError):
        cache.open("other", ("link b", "address"), writer(10))
    cache.open("job", ("link b",), writer(10))
    files[0].close()
    cache.open("job", ("link a",), writer(10))

    def failing(*_):
        raise RuntimeError

    for _ in range(5):
        with pytest.raises(RuntimeError):
            cache.open("broken", ("link c",), failing)
    assert not [file for file in (tmp_path / "outputs").iterdir() if file.suffix == ".draft"]


def test_a_full_disk_ends_a_build_between_its_parts(tmp_path, monkeypatch):
    cache, free = OutputCache(tmp_path / "outputs", 1 << 20), iter([1 << 40, 1 << 20])
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)})())
    with pytest.raises(ProblemError, match="1 MiB left, and 1,024 are kept free") as info:
        cache.open("job", (), writer(10))
    assert info.value.status == 503
    assert list((tmp_path / "outputs").iterdir()) == []


def test_more_outputs_than_may_be_written_at_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "_BUILD_WAIT_S", 0.1)
    cache, release, begun = OutputCache(tmp_path / "outputs", 1 << 20), threading.Event(), threading.Barrier(5)

    def slow(path, _):
        begun.wait(10)
        release.wait(10)

    with ThreadPoolExecutor(4) as pool:
        builds = [pool.submit(cache.open, f"job {number}", (), slow) for number in range(4)]
        begun.wait(10)
        with pytest.raises(ProblemError, match="4 outputs are being written"):
            cache.open("another", (), slow)
        release.set()
        for build in builds:
            build.result()


def test_a_thousand_requests_of_a_link_leave_one_file(tmp_path):
    """The attack wrote 2.7 GB to /tmp."""
    with gateway(tmp_path) as made:
        root = made.client("admin")
        root.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        job = root.post("/v1/batch/rides/jobs", json={}).json()
        made.reconciler.step(datetime.now(UTC))
        table, schema = made.lake.table("rides", PREDICTIONS), PREDICTIONS.file_schema
        columns = {name: pa.nulls(9, schema.field(name).type) for name in schema.names}
        rows = pa.table(columns | {"segment": pa.array(["city=ulm/route=a"] * 9)}, schema=schema)
        table.replace([table.stage(rows, part="input-abc")], lambda file: False)
        complete(made, job)
        link = root.post(f"{job['links']['self']}/links").json()["url"]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: made.nobody.get(link), range(200)))
        assert {answer.status_code for answer in answers} <= {200, 429}
        assert {answer.text for answer in answers if answer.status_code == 200} == {made.nobody.get(link).text}
        assert len(list((tmp_path / "outputs").iterdir())) == 1
        whole = made.nobody.get(link)
        etag = whole.headers["etag"]
        for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = made.nobody.get(link, headers={"If-None-Match": condition})
            assert (again.status_code, again.content) == (304, b"")
        assert made.nobody.get(link, headers={"If-None-Match": '"other"'}).status_code == 200
        part = made.nobody.get(link, headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, whole.content[2:6])
        expired = made.app.state.services.signer.sign(
            job["id"], "csv", int((datetime.now(UTC) - timedelta(seconds=1)).timestamp())
        )
        is_problem(made.nobody.get(f"/v1/links/{expired}"), 410)
