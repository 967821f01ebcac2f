"""Export: tables of the lake as CSV and Parquet files, whole or not at all."""

import csv
import gzip
from datetime import UTC, datetime

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sinks import rows_in

from adapters.databases.address import resolve_address
from adapters.lake.table import Lake
from adapters.queries.export import EXPORTABLE_TABLES, export_table
from adapters.queries.fleet_tables import FleetTables
from domain.data.segments import segment_key
from domain.data.tables import CHAMPIONS, OUTCOMES, PREDICTIONS, QUARANTINE, observations
from domain.errors import LakeError, RequestError

KEYS = ["store=1/brand=a%2Fb", 'store=2/brand=ä,"x"']


def day(number):
    return datetime(2024, 1, number, tzinfo=UTC)


def stage(tables, spec, rows, **partition):
    table = tables.lake.table(tables.fleet, spec)
    names = spec.file_schema.names
    filled = [{name: row.get(name) for name in names} for row in rows]
    table.replace([table.stage(pa.Table.from_pylist(filled, spec.file_schema), **partition)], lambda file: False)


def forecasts(key, origin, release, **more):
    return [
        {"segment": key, "origin": day(origin), "time": day(origin + step), "step": step, "release": release}
        | {"prediction": origin + step / 4, "status": "ok", "scored_at": day(20)}
        | more
        for step in (1, 2)
    ]


@pytest.fixture
def shop(fleet):
    return fleet.forecast()


@pytest.fixture
def tables(tmp_path, shop):
    """Two segments in two buckets; forecasts of two origins and two releases; champions; rows."""
    tables = FleetTables(Lake(str(tmp_path / "lake")), "shop")
    for bucket, key in enumerate(KEYS):
        rows = [row for origin, release in ((1, 1), (1, 2), (3, 2)) for row in forecasts(key, origin, release)]
        stage(tables, PREDICTIONS, rows, part=f"bucket-{bucket}")
        seen = [{"segment": key, "time": day(number), "target": float("nan"), "excluded": False} for number in (1, 2)]
        stage(tables, observations(shop), seen, bucket=bucket)
        for release in (1, 2):
            stage(tables, CHAMPIONS, [{"segment": key, "onnx": b"graph", "rows": 9}], bucket=bucket, release=release)
    return tables


@pytest.fixture
def export(tables, shop, tmp_path):
    def run(name, to, **options):
        return export_table(tables, shop, name, str(to), tmp_path, **options)

    return run


def test_a_csv_has_key_columns_iso_times_and_the_partition_columns(export, tmp_path):
    done = export("predictions", "out/all.csv")
    frame = pd.read_csv(tmp_path / "out/all.csv")
    assert (done.rows, len(frame), done.format) == (12, 12, "csv")
    assert done.columns == tuple(frame.columns)
    assert list(frame.columns[:4]) == ["segment", "store", "brand", "origin"]
    assert set(frame.brand) == {"a/b", 'ä,"x"'}
    assert set(frame.part) == {"bucket-0", "bucket-1"}
    assert frame.time[0] == "2024-01-02T00:00:00Z"
    assert frame.lower.isna().all()


def test_forecasts_are_the_newest_of_the_release_in_force(export, tmp_path):
    export("forecasts", "now.csv")
    frame = pd.read_csv(tmp_path / "now.csv")
    assert len(frame) == 4
    assert set(frame.release) == {2}
    assert set(frame.origin) == {"2024-01-03T00:00:00Z"}
    export("forecasts", "then.csv", release=1)
    assert set(pd.read_csv(tmp_path / "then.csv").origin) == {"2024-01-01T00:00:00Z"}


def test_parquet_keeps_types_and_bytes_and_csv_leaves_bytes_out(export, tmp_path):
    export("champions", "champions.parquet")
    table = pq.read_table(tmp_path / "champions.parquet")
    assert table.num_rows == 4
    assert table["onnx"].to_pylist() == [b"graph"] * 4
    assert table.schema.field("cutoff").type == pa.timestamp("us", tz="UTC")
    assert "onnx" not in export("champions", "champions.csv").columns


FORMULA = '=HYPERLINK("http://x","y")'


@pytest.mark.parametrize(("options", "cell"), [({}, f"'{FORMULA}"), ({"exact": True}, FORMULA)])
def test_text_that_a_spreadsheet_would_run_is_marked_unless_the_exact_text_is_asked_for(
    export, tables, tmp_path, options, cell
):
    key = segment_key({"store": "-5", "brand": FORMULA})
    stage(tables, PREDICTIONS, forecasts(key, 3, 2, prediction=-1.5, reason="@SUM(1)"), part="bucket-7")
    export("predictions", "all.csv", segment=key, **options)
    (row, _) = csv.DictReader((tmp_path / "all.csv").read_text().splitlines())
    assert (row["brand"], row["store"], row["prediction"]) == (cell, "-5", "-1.5")
    assert row["reason"] == ("@SUM(1)" if options else "'@SUM(1)")
    export("predictions", "all.parquet", segment=key)
    assert pq.read_table(tmp_path / "all.parquet")["brand"].to_pylist() == [FORMULA] * 2


def test_rows_are_chosen_by_release_and_segment(export, tmp_path):
    assert export("champions", "a.csv", release=1, segment=KEYS[0]).rows == 1
    assert export("observations", "b.csv", segment=KEYS[1]).rows == 2
    assert pd.read_csv(tmp_path / "b.csv").target.isna().all()


@pytest.mark.parametrize(
    ("to", "form", "path", "kind"),
    [
        ("folder", None, "folder/segments.csv", "csv"),
        ("folder/", "parquet", "folder/segments.parquet", "parquet"),
        ("x.CSV.gz", None, "x.CSV.gz", "csv"),
        ("data.txt", "csv", "data.txt", "csv"),
        ("v1.2/", None, "v1.2/segments.csv", "csv"),
    ],
)
def test_the_name_decides_place_and_format(tables, shop, tmp_path, to, form, path, kind):
    from domain.data.tables import SEGMENTS

    stage(tables, SEGMENTS, [{"segment": KEYS[0], "rows": 3}], bucket=0)
    done = export_table(tables, shop, "segments", to, tmp_path, form=form)
    assert (done.path, done.format) == (path, kind)
    content = (tmp_path / path).read_bytes()
    assert (content[:4] == b"PAR1") == (kind == "parquet")
    if path.lower().endswith(".gz"):
        assert b"a/b" in gzip.decompress(content)


@pytest.mark.parametrize(
    ("name", "to", "options", "error", "message"),
    [
        (
            "models",
            "a.csv",
            {},
            RequestError,
            f"table 'models': not available for export; choose one of {', '.join(EXPORTABLE_TABLES)}",
        ),
        ("predictions", "a.txt", {}, RequestError, "to: a.txt: the format cannot be told from the name"),
        ("predictions", "a.csv", {"form": "parquet"}, RequestError, "the name says csv, but --format says parquet"),
        (
            "outcomes",
            "a.csv",
            {"release": 1},
            RequestError,
            "--release: outcomes has no release; tables that have one: pred",
        ),
        ("outcomes", "a.csv", {}, LakeError, "fleet shop: outcomes: nothing there yet; run `myriad train shop` first"),
        ("predictions", "a.csv", {"release": 7}, LakeError, "fleet shop: predictions: there is no row of release 7"),
    ],
)
def test_an_impossible_export_is_an_error_and_leaves_no_file(export, tmp_path, name, to, options, error, message):
    with pytest.raises(error) as failure:
        export(name, to, **options)
    assert message in str(failure.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_a_release_without_forecasts_says_what_to_run(tables, shop, tmp_path, export):
    stage(tables, CHAMPIONS, [{"segment": KEYS[0], "rows": 1}], bucket=0, release=3)
    with pytest.raises(LakeError, match=r"the release in force has no forecasts yet; run `myriad score shop` first"):
        export("forecasts", "a.csv")


def test_a_failure_leaves_the_former_file_as_it_was(export, tmp_path, monkeypatch):
    export("predictions", "a.parquet")
    before = (tmp_path / "a.parquet").read_bytes()
    plain, seen = pq.ParquetWriter.write_table, []

    def full(self, table, *arguments, **options):
        seen.append(table)
        if len(seen) > 1:
            raise OSError(28, "No space left on device")
        return plain(self, table, *arguments, **options)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(LakeError, match=r"a\.parquet: cannot be written: .*No space left"):
        export("predictions", "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "lake"]


def test_an_empty_quarantine_is_a_file_without_rows(tables, shop, tmp_path, export):
    tables[QUARANTINE].create()
    assert export("quarantine", "q.csv").rows == 0
    assert (tmp_path / "q.csv").read_text().startswith('"reason"')


def test_nulls_and_empty_texts_differ_in_csv(tables, shop, tmp_path, export):
    stage(tables, OUTCOMES, [{"segment": KEYS[0], "outcome": "trained", "reason": ""}], run_id="r", bucket=0)
    export("outcomes", "o.csv")
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == f'"{KEYS[0]}","1","a/b","trained","",,"r",0'


def test_a_file_on_s3_appears_whole(tables, shop, s3, tmp_path):
    export_table(tables, shop, "forecasts", "s3://lake/out/now.parquet", tmp_path)
    with fsspec.filesystem("s3", use_listings_cache=False).open("lake/out/now.parquet", "rb") as stream:
        assert pq.read_table(stream).num_rows == 4
    with pytest.raises(LakeError, match="nothing there yet"):
        export_table(tables, shop, "outcomes", "s3://lake/out/outcomes.csv", tmp_path)
    assert not fsspec.filesystem("s3", use_listings_cache=False).exists("lake/out/outcomes.csv")


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    """Address of a database, and a function that queries it."""
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    url = f"{request.param}:///out.db"
    return url, lambda query: rows_in(resolve_address(url, tmp_path, "--to"), query)


def test_a_database_gets_the_rows_once_however_often_they_are_exported(tables, shop, tmp_path, database):
    url, fetch = database
    for _ in range(2):
        result = export_table(tables, shop, "predictions", url, tmp_path)
        assert (result.rows, result.columns[:4]) == (12, ("fleet", "segment", "store", "brand"))
    assert fetch("SELECT count(*), count(DISTINCT brand) FROM shop_predictions") == [(12, 2)]
    export_table(tables, shop, "predictions", url, tmp_path, release=1, segment=KEYS[0])
    assert fetch("SELECT count(*) FROM shop_predictions") == [(12,)]
    export_table(tables, shop, "champions", url, tmp_path, into="graphs")
    assert fetch("SELECT DISTINCT onnx, rows FROM graphs") == [(b"graph", 9)]
    export_table(tables, shop, "observations", url, tmp_path)
    assert fetch("SELECT DISTINCT target FROM shop_observations") == [(None,)]


def test_filters_replace_their_own_rows_alone(tables, shop, tmp_path, database):
    url, fetch = database
    export_table(tables, shop, "predictions", url, tmp_path)
    fetch("UPDATE shop_predictions SET step = 99")
    export_table(tables, shop, "predictions", url, tmp_path, release=1)
    assert fetch("SELECT release, count(*) FROM shop_predictions WHERE step = 99 GROUP BY release") == [(2, 8)]


def test_an_export_without_rows_leaves_the_table_as_it_is(tables, shop, tmp_path, database):
    url, fetch = database
    export_table(tables, shop, "predictions", url, tmp_path)
    with pytest.raises(LakeError, match="no row of release 9"):
        export_table(tables, shop, "predictions", url, tmp_path, release=9)
    assert fetch("SELECT count(*) FROM shop_predictions") == [(12,)]


def test_a_table_of_the_sink_is_not_exported_into(tables, shop, tmp_path, database):
    url, fetch = database
    export_table(tables, shop, "champions", url, tmp_path)
    fetch("CREATE TABLE myriad_deliveries (target VARCHAR, fleet VARCHAR)")
    fetch("INSERT INTO myriad_deliveries VALUES ('shop_champions', 'shop')")
    with pytest.raises(RequestError, match="the sink of fleet shop fills this table"):
        export_table(tables, shop, "champions", url, tmp_path)
    export_table(tables, shop, "champions", url, tmp_path, into="others")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "postgresql://svc:hunter2@h/d"}, "a password has no place here"),
        ({"to": "sqlite:///out.db", "into": "a; drop"}, "give table or schema.table"),
        ({"to": "sqlite:///out.db", "form": "csv"}, "--format csv: is for files"),
        ({"to": "out.csv", "into": "a"}, "--out is not the address of one"),
        ({"to": "sqlite:///out.db", "into": "reporting.a"}, "SQLite has no schemas"),
    ],
)
def test_what_makes_no_sense_for_a_database_is_refused(tables, shop, tmp_path, options, message):
    with pytest.raises(RequestError, match=message) as caught:
        export_table(tables, shop, "predictions", home=tmp_path, **options)
    assert "hunter2" not in str(caught.value)
