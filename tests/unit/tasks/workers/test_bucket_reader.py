"""Rows of buckets, read together with their neighbours'."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.lake.table import Lake
from domain.data.segments import bucket_of
from domain.data.tables import landed
from tasks.workers import bucket_reader
from tasks.workers.bucket_reader import SPANS, bucket_rows, spans


@given(st.integers(0, 10**9), st.integers(1, 5_000), st.sampled_from([1, SPANS]))
def test_spans_cover_all_buckets_in_order(rows, buckets, least):
    parts = spans(rows, buckets, least)
    assert [bucket for part in parts for bucket in part] == list(range(buckets))
    assert all(len(part) for part in parts)
    assert len(parts) == min(buckets, max(least, -(-rows // 500_000)))


@pytest.fixture
def table(tmp_path, fleet):
    return Lake(str(tmp_path / "lake")).table("shop", landed(fleet.forecast()))


def stage(table, hashes, name):
    schema = table.spec.file_schema
    columns = {field.name: pa.nulls(len(hashes), field.type) for field in schema}
    columns |= {"hash": pa.array(np.sort(hashes)), "row": pa.array(range(len(hashes)), pa.int64())}
    return table.stage(pa.table(columns), path_id=name, input_id=name)


@pytest.mark.parametrize("buckets", [1, 7, 100])
def test_every_bucket_gets_its_rows_and_no_others(table, monkeypatch, buckets):
    monkeypatch.setattr(bucket_reader, "_SPAN_ROWS", 50)
    random = np.random.default_rng(buckets)
    files = [stage(table, random.integers(0, 2**32, 200), name) for name in ("a", "b")]
    table.replace(files, lambda file: False)
    all_rows = table.read_files(files).to_pandas()
    owner = bucket_of(all_rows.hash.to_numpy(), buckets)
    for bucket in random.permutation(buckets).tolist():
        rows = bucket_rows(table, files, bucket, buckets).to_pandas()
        expected = all_rows[owner == bucket].sort_values("hash", kind="stable")
        assert (
            rows[["hash", "input_id", "row"]].values.tolist() == expected[["hash", "input_id", "row"]].values.tolist()
        )


@pytest.mark.parametrize("least", [1, SPANS])
def test_neighbours_are_read_once(table, monkeypatch, least):
    files = [stage(table, np.random.default_rng(0).integers(0, 2**32, 500), "a")]
    table.replace(files, lambda file: False)
    read, plain = [], type(table).read_files
    monkeypatch.setattr(type(table), "read_files", lambda *args, **more: read.append(1) or plain(*args, **more))
    for bucket in range(640):
        bucket_rows(table, files, bucket, 640, least=least)
    assert len(read) == least


def test_no_files_give_no_rows(table):
    assert bucket_rows(table, [], 3, 8).num_rows == 0
