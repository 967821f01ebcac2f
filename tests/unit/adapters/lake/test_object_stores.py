"""Object stores by the drivers of fsspec: a driver stands in here that keeps its buckets in a folder."""

import gzip
import sys
from importlib import import_module

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from adapters.lake.files import digest, held_still, list_files
from adapters.lake.local_files import confined_to
from adapters.sources.kinds import list_inputs
from adapters.sources.precheck import input_roots
from adapters.sources.reader import read_chunks
from domain.config.source import Source
from domain.errors import SourceError


class DriverError(Exception):
    """An error that only its driver knows."""


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    class Driver(DirFileSystem):
        protocol = ("gs", "gcs")
        cachable = False
        broken = False

        def __init__(self, **_):
            super().__init__(str(tmp_path / "store"), LocalFileSystem())

        def isdir(self, path):
            if Driver.broken:
                raise DriverError("401 anonymous caller")
            return super().isdir(path)

    known = import_module("fsspec.registry")._registry
    monkeypatch.setitem(known, "gs", Driver)
    monkeypatch.setitem(known, "gcs", Driver)
    folder = tmp_path / "store/sales"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("store,units\n1,5\n")
    (folder / "b.csv.gz").write_bytes(gzip.compress(b"store,units\n2,7\n"))
    (folder / "_tmp.csv").write_text("x\n")
    Driver.folder = folder
    return Driver


def test_files_are_listed_stamped_and_read(bucket, tmp_path):
    source = Source(path="gcs://sales/*")
    inputs = list_inputs(source, tmp_path).inputs
    assert [item.uri for item in inputs] == ["gs://sales/a.csv", "gs://sales/b.csv.gz"]
    rows = [chunk.table.to_pylist() for item in inputs for chunk in read_chunks(item, source, ["store", "units"])]
    assert rows == [[{"store": "1", "units": "5"}], [{"store": "2", "units": "7"}]]
    assert list_files("gs://sales", tmp_path) == list_files("gs://sales/", tmp_path)
    assert inputs[0].modified == pytest.approx((bucket.folder / "a.csv").stat().st_mtime)
    assert digest("gs://sales/a.csv") == digest(str(bucket.folder / "a.csv"))
    with pytest.raises(SourceError, match="it changed while it was read"), held_still("gs://sales/a.csv"):
        (bucket.folder / "a.csv").write_text("store,units\n1,50\n")


def test_an_error_of_a_driver_is_one_of_the_storage(bucket, tmp_path):
    bucket.broken = True
    with pytest.raises(SourceError, match="gs://sales: cannot be listed: DriverError: 401 anonymous caller") as error:
        list_files("gs://sales", tmp_path)
    assert isinstance(error.value.__cause__, OSError)


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("abfs", "adlfs"), ("az", "adlfs")])
def test_a_driver_that_is_not_installed_is_named(tmp_path, monkeypatch, scheme, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SourceError, match=f"{scheme}:// needs the package {package}; run: pip install {package}"):
        list_files(f"{scheme}://sales/a.csv", tmp_path)


def test_an_account_belongs_to_the_variables_of_the_driver(tmp_path):
    with pytest.raises(SourceError, match="give the container alone, abfs://CONTAINER/PATH"):
        list_files("abfs://sales@account.dfs.core.windows.net/a.csv", tmp_path)


def test_requests_are_confined_to_roots_of_a_store_as_to_those_of_s3(bucket, tmp_path):
    assert input_roots(["gs://sales", "/local"], None, tmp_path, local=False) == ["gs://sales"]
    with confined_to(["gs://sales"]):
        assert len(list_files("gs://sales", tmp_path)) == 2
        with pytest.raises(SourceError, match="outside the allowed folders"):
            list_files(str(tmp_path), tmp_path)
