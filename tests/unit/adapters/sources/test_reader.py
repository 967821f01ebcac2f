"""Raw files to tables: every format, every kind of damage."""

import gzip
import re
import uuid

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.sources import csv_file, limits, parquet_file, reader, text_stream
from adapters.sources.protocol import SourceInput
from adapters.sources.reader import column_names, read_chunks
from domain.config.source import Source
from domain.errors import SourceError

TEXT = "store,units\n1,5\n2,7\n"
TABLE = pa.table({"store": [1, 2], "units": [5.0, 7.0]})


def item(path):
    return SourceInput(str(path), 0, "")


def read(path, required=("store", "units"), optional=(), **source):
    return list(read_chunks(item(path), Source(path=str(path), **source), required, optional))


def values(chunks, name="units"):
    return [value for chunk in chunks for value in chunk.table[name].to_pylist()]


def numbers(chunks):
    return [int(row) for chunk in chunks for row in chunk.rows]


def broken(chunks):
    return [item for chunk in chunks for item in chunk.broken]


def write(path, content):
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.txt", "a.csv.gz"])
def test_csv_gives_text_and_row_numbers(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith(".gz") else TEXT.encode())
    chunks = read(path)
    assert (values(chunks, "store"), values(chunks)) == (["1", "2"], ["5", "7"])
    assert numbers(chunks) == [0, 1]
    assert column_names(item(path), Source(path=str(path))) == ["store", "units"]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_tsv_is_split_at_tabs(tmp_path, name):
    assert values(read(write(tmp_path / name, TEXT.replace(",", "\t")))) == ["5", "7"]


def test_a_delimiter_of_the_fleet_is_used(tmp_path):
    assert values(read(write(tmp_path / "a.csv", TEXT.replace(",", ";")), delimiter=";")) == ["5", "7"]
    assert values(read(write(tmp_path / "a.tsv", TEXT.replace(",", ";")), delimiter=";")) == ["5", "7"]


@pytest.mark.parametrize("name", ["a.parquet", "a.pq"])
def test_parquet_keeps_its_types(tmp_path, name):
    pq.write_table(TABLE, tmp_path / name)
    chunks = read(tmp_path / name)
    assert pa.concat_tables([chunk.table for chunk in chunks]) == TABLE
    assert numbers(chunks) == [0, 1]
    assert column_names(item(tmp_path / name), Source(path="x")) == ["store", "units"]


def test_parquet_in_chunks_numbers_rows_through(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "CHUNK_ROWS", 3)
    pq.write_table(pa.table({"store": range(8), "units": range(8), "more": range(8)}), tmp_path / "a.parquet")
    chunks = read(tmp_path / "a.parquet")
    assert [chunk.table.num_rows for chunk in chunks] == [3, 3, 2]
    assert numbers(chunks) == values(chunks) == list(range(8))


def test_lists_of_parquet_are_refused_where_they_are_used_and_not_read_elsewhere(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(TABLE.append_column("tags", pa.array([["x"], ["y", "z"]])), path)
    assert values(read(path)) == [5.0, 7.0]
    head = reader.head_rows(item(path), Source(path=str(path)), 5)
    assert head.column_names == ["store", "units", "tags"]
    assert head["tags"].to_pylist() == [None, None]
    with pytest.raises(SourceError, match="column tags holds lists; a value for each row is needed"):
        read(path, ("store", "tags"))


def test_parquet_without_rows_gives_one_empty_chunk(tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    (chunk,) = read(tmp_path / "a.parquet")
    assert chunk.table.num_rows == 0
    assert chunk.table.column_names == ["store", "units"]


def test_the_fleets_format_wins_over_the_name(tmp_path):
    assert values(read(write(tmp_path / "a.dat", TEXT), format="csv")) == ["5", "7"]


def test_an_unknown_extension_asks_for_the_format(tmp_path):
    with pytest.raises(SourceError, match=r"a.sav: the name does not tell the format; set source.format"):
        read(write(tmp_path / "a.sav", TEXT))


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "\r\n"])
def test_an_empty_file_is_an_error(tmp_path, content):
    with pytest.raises(SourceError, match=r"a.csv: the file is empty"):
        read(write(tmp_path / "a.csv", content))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp500", "latin-1"])
@pytest.mark.parametrize("text", ["größe,units\n1,5\n", "store,units\nMünchen,5\n", "store,units\nMünchen,5,9\n"])
def test_text_of_another_encoding_is_refused_with_the_way_out(tmp_path, capfd, encoding, text):
    path = write(tmp_path / "a.csv", text.encode(encoding))
    for way in (read, lambda path: column_names(item(path), Source(path=str(path)))):
        with pytest.raises(SourceError, match=r"a\.csv: cannot be read: .*set source.encoding to its encoding"):
            way(path)
    assert capfd.readouterr().err == ""


def test_text_of_another_encoding_far_below_the_header_is_refused_too(tmp_path):
    content = b"store,units\n" + b"1,5\n" * 400_000 + "München,5\n".encode("latin-1")
    with pytest.raises(SourceError, match=r"set source\.encoding to its encoding"):
        read(write(tmp_path / "a.csv", content))


@pytest.mark.parametrize("content", ["store,units", "store,units\n", "store,units\r\n\r\n", "\n\nstore,units\n\n"])
def test_a_header_alone_gives_one_empty_chunk(tmp_path, content):
    (chunk,) = read(write(tmp_path / "a.csv", content))
    assert chunk.table.num_rows == len(chunk.rows) == len(chunk.broken) == 0
    assert chunk.table.column_names == ["store", "units"]


def test_ragged_rows_are_given_with_their_numbers(tmp_path):
    chunks = read(write(tmp_path / "a.csv", "store,units\n1,5\n2\n3,7\n4,8,9\n5,9\n"))
    assert values(chunks) == ["5", "7", "9"]
    assert numbers(chunks) == [0, 2, 4]
    assert broken(chunks) == [(1, "2"), (3, "4,8,9")]


def test_a_block_of_many_short_rows_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_CHUNK_ROWS", 10)
    content = "store,units\n" + "1,5\n" * 12 + "broken\n" + "2,7\n" * 12
    chunks = read(write(tmp_path / "a.csv", content))
    assert [chunk.table.num_rows for chunk in chunks] == [10, 10, 4]
    assert numbers(chunks) == [*range(12), *range(13, 25)]
    assert broken(chunks) == [(12, "broken")]


@pytest.mark.parametrize("block", [40, 64, 1000])
@pytest.mark.parametrize(
    "ragged", [{3, 4, 50}, set(range(0, 100, 7)), set(range(20, 60)), {99}, {0}, set(range(80, 100))]
)
def test_row_numbers_hold_across_chunks(tmp_path, monkeypatch, block, ragged):
    monkeypatch.setattr(csv_file, "_BLOCK_BYTES", block)
    lines = [f"{row}" if row in ragged else f"{row},{row}" for row in range(100)]
    chunks = read(write(tmp_path / "a.csv", "store,units\n" + "\n".join(lines) + "\n"))
    assert len(chunks) > 1 or block == 1000
    assert all(len(chunk.rows) == chunk.table.num_rows for chunk in chunks)
    assert (
        numbers(chunks) == [int(value) for value in values(chunks)] == [row for row in range(100) if row not in ragged]
    )
    assert broken(chunks) == [(row, str(row)) for row in sorted(ragged)]


def test_rows_that_are_all_ragged_are_all_given(tmp_path):
    chunks = read(write(tmp_path / "a.csv", "store,units\n1\n2\n"))
    assert values(chunks) == []
    assert broken(chunks) == [(0, "1"), (1, "2")]


def test_blank_lines_are_no_rows(tmp_path):
    chunks = read(write(tmp_path / "a.csv", "store,units\n\n1,5\n\n\n2,7\n"))
    assert numbers(chunks) == [0, 1]


def test_quoted_newlines_delimiters_and_quotes_stay_in_their_value(tmp_path):
    content = 'store,units\n"a\nb, ""c""",5\n2,7\n'
    chunks = read(write(tmp_path / "a.csv", content))
    assert values(chunks, "store") == ['a\nb, "c"', "2"]
    assert numbers(chunks) == [0, 1]


def test_a_quoted_header_and_a_byte_order_mark_are_not_part_of_the_names(tmp_path):
    chunks = read(write(tmp_path / "a.csv", '\ufeff"store","units\nsold"\n01,5\n'), required=["store", "units\nsold"])
    assert values(chunks, "store") == ["01"]


@pytest.mark.parametrize("rows", [1, 40_000])
def test_columns_are_text_however_long_header_and_file_are(tmp_path, rows):
    wide = ",".join(f"column_{number}" for number in range(10_000))
    content = f"store,units,{wide}\n" + f"007,1e3,{',' * 9_999}\n"
    chunks = read(write(tmp_path / "wide.csv", content))
    assert (values(chunks, "store"), values(chunks)) == (["007"], ["1e3"])
    chunks = read(write(tmp_path / "long.csv", "store,units\n" + "007,1\n" * rows))
    assert set(values(chunks, "store")) == {"007"}


def test_null_texts_are_null_quoted_or_not(tmp_path):
    chunks = read(write(tmp_path / "a.csv", 'store,units\n1,NA\n2,"NaN"\n3,\n4,n/a\n'))
    assert values(chunks) == [None, None, None, "n/a"]
    assert values(read(tmp_path / "a.csv", null_values=["n/a"])) == ["NA", "NaN", "", None]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_missing_column_names_the_file_the_column_and_what_there_is(tmp_path, name):
    if name == "a.csv":
        write(tmp_path / name, TEXT)
    else:
        pq.write_table(TABLE, tmp_path / name)
    with pytest.raises(SourceError, match=rf"{name}: no column price, promo; the file has store"):
        read(tmp_path / name, ["store", "price", "promo"])
    with pytest.raises(SourceError, match=rf"{name}.*no.* column.*price; the file has store, units"):
        read(tmp_path / name, ["price"])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_optional_column_is_null_where_the_file_lacks_it(tmp_path, name):
    if name == "a.csv":
        write(tmp_path / name, TEXT)
    else:
        pq.write_table(TABLE, tmp_path / name)
    chunks = read(tmp_path / name, ["store"], ["promo"])
    assert values(chunks, "promo") == [None, None]


def test_a_column_that_is_there_twice_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"a.csv: column units is there more than once"):
        read(write(tmp_path / "a.csv", "store,units,units\n1,2,3\n"))
    assert values(read(write(tmp_path / "b.csv", "store,units,x,x\n1,2,3,4\n"))) == ["2"]


def test_a_truncated_parquet_is_an_error_with_the_files_name(tmp_path):
    pq.write_table(
        pa.table({"store": range(1000), "units": np.random.default_rng(0).random(1000)}), tmp_path / "a.parquet"
    )
    data = (tmp_path / "a.parquet").read_bytes()
    for size in (0, 3, len(data) // 2, len(data) - 1):
        write(tmp_path / "b.parquet", data[:size])
        with pytest.raises(SourceError, match=r"b.parquet: cannot be read"):
            read(tmp_path / "b.parquet")


def test_a_truncated_or_damaged_gzip_is_an_error_with_the_files_name(tmp_path):
    rng = np.random.default_rng(0)
    text = "store,units\n" + "".join(f"{a},{b}\n" for a, b in rng.integers(0, 10**6, (5000, 2)))
    whole = gzip.compress(text.encode())
    middle = len(whole) // 2
    damaged = [whole[:-4], whole[:middle], whole[:5], b"not gzip at all", b""]
    damaged += [whole[:at] + filler * 64 + whole[at + 64 :] for at in (40, middle) for filler in (b"\0", b"\xff")]
    for data in damaged:
        (tmp_path / "a.csv.gz").write_bytes(data)
        with pytest.raises(SourceError, match=r"a.csv.gz: (cannot be read|the file is empty)"):
            read(tmp_path / "a.csv.gz")


def test_text_that_is_not_utf8_is_an_error_with_the_files_name(tmp_path):
    with pytest.raises(SourceError, match=r"a.csv: cannot be read"):
        read(write(tmp_path / "a.csv", "store,units\nKöln,5\n".encode("latin-1")))


def test_a_file_that_is_gone_is_an_error_with_its_name(tmp_path):
    with pytest.raises(SourceError, match=r"gone.csv: cannot be read"):
        read(tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_files_are_read_from_s3(s3, tmp_path, name):
    if name == "a.parquet":
        pq.write_table(TABLE, tmp_path / name)
    else:
        write(tmp_path / name, TEXT)
    uri = f"s3://lake/{uuid.uuid4().hex}/{name}"
    fsspec.filesystem("s3").put(str(tmp_path / name), uri)
    assert [float(value) for value in values(read(uri))] == [5, 7]
    with pytest.raises(SourceError, match="cannot be read"):
        read(uri.replace("/a.", "/gone."))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,5", "1.5"),
        ("-1.234,50", "-1234.50"),
        ("1.234.567", "1234567"),
        (" 7 ", " 7 "),
        ("1.5", "1.5"),
        ("12.34,5", "12.34.5"),
        ("", None),
    ],
)
def test_a_decimal_comma_becomes_a_point_in_number_columns_alone(tmp_path, text, number):
    path = write(tmp_path / "a.csv", f'store;units\n"{text}";"{text}"\n')
    source = Source(path=str(path), delimiter=";", decimal=",")
    (chunk,) = read_chunks(item(path), source, ["store", "units"], numbers=["units"])
    assert chunk.table["units"].to_pylist() == [number]
    assert chunk.table["store"].to_pylist() == [text or None]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-8"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_text_is_decoded_as_the_source_says(tmp_path, encoding, name):
    path = write(tmp_path / name, "Größe,units\nKäse,5\nBrot,7\n".encode(encoding))
    chunks = read(path, ["Größe", "units"], encoding=encoding)
    assert values(chunks, "Größe") == ["Käse", "Brot"]
    assert column_names(item(path), Source(path=str(path), encoding=encoding)) == ["Größe", "units"]
    assert reader.head_rows(item(path), Source(path=str(path), encoding=encoding), 1)["units"].to_pylist() == ["5"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_constants_are_columns_of_every_row(tmp_path, name):
    path = tmp_path / name
    pq.write_table(TABLE, path) if name == "a.parquet" else write(path, TEXT)
    chunks = read(path, ["series", "units"], constants={"series": "all"})
    assert values(chunks, "series") == ["all", "all"]
    assert column_names(item(path), Source(path=str(path), constants={"series": "all"})) == ["store", "units", "series"]


def test_a_constant_never_hides_a_column(tmp_path):
    with pytest.raises(SourceError, match=r"column store is in the file and in source\.constants"):
        read(write(tmp_path / "a.csv", TEXT), constants={"store": "all"})


def refusal(path, **source):
    with pytest.raises(SourceError) as caught:
        read(path, **source)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 600
    return str(caught.value)


def test_a_header_has_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_HEADER_BYTES", 1000)
    monkeypatch.setattr(limits, "MOST_COLUMNS", 100)
    assert "the header does not end within 1,000 bytes" in refusal(write(tmp_path / "a.csv", "," * 2000 + "\n1\n"))
    assert "300 columns; at most 100 are read" in refusal(write(tmp_path / "b.csv", "," * 299 + "\n1\n"))
    table = pa.table({f"c{number}": [1] for number in range(101)})
    pq.write_table(table, tmp_path / "c.parquet")
    assert "101 columns; at most 100 are read" in refusal(tmp_path / "c.parquet")
    # A long row after a short header is no long header.
    assert values(read(write(tmp_path / "d.csv", f"store,units\n{'s' * 3000},5\n"))) == ["5"]


def test_rows_that_do_not_fit_the_header_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_BROKEN_ROWS", 10)
    path = write(tmp_path / "a.csv", TEXT + "x\n" * 10)
    assert len(broken(read(path))) == 10
    path = write(tmp_path / "b.csv", TEXT + "x\n" * 11)
    assert "10 rows in a row have another number of columns than the header" in refusal(path)


def test_the_text_of_a_row_that_does_not_fit_is_cut(tmp_path):
    ((number, text),) = broken(read(write(tmp_path / "a.csv", TEXT + "x" * 100_000 + "\n")))
    assert (number, len(text)) == (2, 1 << 16)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_value_has_a_limit_in_columns_that_are_read(tmp_path, name):
    path, value = tmp_path / name, "x" * 2_000_000
    stores = ["a"] * 9 + [value]
    if name == "a.csv":
        write(path, "store,units\n" + "".join(f"{store},5\n" for store in stores))
    else:
        pq.write_table(pa.table({"store": stores * 1000, "units": [5.0] * 10_000}), path)
    assert "column store has a value of 2,000,000 bytes; at most 1,048,576 are read" in refusal(path)
    assert len(values(read(path, required=("units",)))) in (10, 10_000)
    assert reader.head_rows(item(path), Source(path=str(path)), 5).num_rows == 5


def test_parquet_batches_follow_from_the_longest_value_of_the_dictionary(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "_USUAL_BYTES", 1 << 20)
    monkeypatch.setattr(parquet_file, "_SMALL_BYTES", 1 << 18)
    stores = ["x" * 10_000 + str(number % 7) for number in range(2_500)]
    pq.write_table(
        pa.table({"store": stores, "units": [float(number) for number in range(2_500)]}), tmp_path / "a.parquet"
    )
    chunks = read(tmp_path / "a.parquet")
    assert max(chunk.table.nbytes for chunk in chunks) < 1 << 20
    assert values(chunks) == [float(number) for number in range(2_500)]
    assert numbers(chunks) == list(range(2_500))


def test_content_of_many_times_the_file_is_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(text_stream, "_SURELY_FINE_BYTES", 1000)
    monkeypatch.setattr(parquet_file, "_SURELY_FINE_BYTES", 1000)
    path = write(tmp_path / "a.csv.gz", TEXT + "3,7\n" * 3_000_000)
    assert "refused as a decompression bomb" in refusal(path)
    rows = 3_000_000
    table = pa.table({"store": pa.repeat(pa.scalar("a"), rows), "units": pa.repeat(pa.scalar(1.0), rows)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert "refused as a decompression bomb" in refusal(tmp_path / "a.parquet")


US = [f"{value:,}" for value in range(540, 1453, 7)]


def read_numbers(path, **source):
    chunks = read_chunks(item(path), Source(path=str(path), **source), ["units"], numbers=["units"])
    return [number for chunk in chunks for number in chunk.table["units"].to_pylist()]


@pytest.mark.parametrize("rows", [3, 50, 1000])
def test_a_file_is_read_alike_in_all_its_chunks(tmp_path, monkeypatch, rows):
    """The first chunks have whole numbers alone, or too few values to tell."""
    monkeypatch.setattr(csv_file, "_CHUNK_ROWS", rows)
    path = write(tmp_path / "a.csv", "units\n" + "".join(f'"{text}"\n' for text in US))
    assert read_numbers(path) == [text.replace(",", "") for text in US]
    german = write(tmp_path / "b.csv", "units\n" + "".join(f"{text.replace(',', '.')}\n" for text in US))
    with pytest.raises(SourceError, match=r"b\.csv: column 'units': values such as '1\.002' .* thousands"):
        read_numbers(german)
    assert read_numbers(german, decimal=",", thousands=".") == [text.replace(",", "") for text in US]
    assert read_numbers(german, thousands="none") == [text.replace(",", ".") for text in US]


def test_text_in_parquet_is_judged_like_that_of_csv(tmp_path):
    pq.write_table(pa.table({"units": US}), tmp_path / "a.parquet", row_group_size=20)
    assert read_numbers(tmp_path / "a.parquet") == [text.replace(",", "") for text in US]


def test_a_file_whose_first_rows_prove_its_mark_is_read_once(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "units\n0.5\n" + "1.234\n" * 50)
    monkeypatch.setattr(csv_file, "_CHUNK_ROWS", 10)
    opened = []
    monkeypatch.setattr(text_stream, "open_file", lambda uri: opened.append(uri) or fsspec.open(uri, "rb").open())
    assert read_numbers(path) == ["0.5", *["1.234"] * 50]
    assert len(opened) == 1


def test_what_values_leave_open_is_told_with_the_rows(tmp_path):
    path = write(tmp_path / "a.csv", "units\n1.234\n2.345\n")
    source = Source(path=str(path))
    (chunk,) = read_chunks(item(path), source, ["units"], numbers=["units"])
    assert chunk.table["units"].to_pylist() == ["1.234", "2.345"]
    (remark,) = chunk.remarks
    assert remark.startswith("column 'units': every point is followed by three digits, as in '1.234'")


def test_text_that_a_parquet_file_has_as_views_is_text(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"store": pa.array(["a", None], pa.string_view()), "units": [1.0, 2.0]}), path)
    (chunk,) = read(path)
    assert (chunk.table.schema.field("store").type, values([chunk], "store")) == (pa.string(), ["a", None])
    assert reader.head_rows(item(path), Source(path=str(path)), 2).schema.field("store").type == pa.string()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("title", ["Customer: ACME\nExport,2024-01-05\n\n", 'one\n"two, quoted"\n\n', "a,b,c,d\n\n\n"])
def test_lines_before_the_header_are_skipped(tmp_path, encoding, title):
    text = f"{title}store,units\n1,5\n2,7,8\n\n3,9\n"
    path = write(tmp_path / "a.csv", text.encode(encoding))
    chunks = read(path, skip_rows=3, encoding=encoding.removesuffix("-sig"))
    assert (values(chunks, "store"), values(chunks), numbers(chunks)) == (["1", "3"], ["5", "9"], [0, 2])
    assert broken(chunks) == [(1, "2,7,8")]
    source = Source(path=str(path), skip_rows=3, encoding=encoding.removesuffix("-sig"))
    assert column_names(item(path), source) == ["store", "units"]


def test_a_header_further_down_is_named_with_the_lines_to_skip(tmp_path):
    path = write(tmp_path / "a.csv", f"Customer: ACME\n\n{TEXT}")
    assert "line 3 has store, units: set source.skip_rows: 2" in refusal(path)
    assert "skip_rows" not in refusal(write(tmp_path / "b.csv", "a,b\n1,2\n"))
    assert "source.skip_rows: 9" in refusal(path, skip_rows=9)


def test_a_delimiter_too_many_in_all_rows_is_left_out_and_told(tmp_path):
    lines = "".join(f"{number},{number + 4},\n" for number in range(300))
    path = write(tmp_path / "a.csv", f"\nstore,units\n{lines}7,8,9\n1,2\n8,9,\n")
    chunks = read(path)
    assert values(chunks) == [str(number + 4) for number in range(300)] + ["9"]
    assert numbers(chunks) == [*range(300), 302]
    # A value after the last delimiter, or no delimiter there, is a row of another length as before.
    assert broken(chunks) == [(300, "7,8,9"), (301, "1,2")]
    assert "one delimiter more than the header" in chunks[0].remarks[0]
    assert column_names(item(path), Source(path=str(path))) == ["store", "units"]


@pytest.mark.parametrize("rows", ["1,5,\n2,7\n", "1,5,x\n2,7,y\n", "1,5,\n2,7,3\n", "1,5,,\n2,7,,\n"])
def test_rows_that_differ_in_other_ways_are_set_aside(tmp_path, rows):
    chunks = read(write(tmp_path / "a.csv", f"store,units\n{rows}"))
    assert len(values(chunks)) + len(broken(chunks)) == 2
    assert broken(chunks)
    assert not any(chunk.remarks for chunk in chunks)


@pytest.mark.parametrize(
    "opened", ['9,"5\n', '"9,5\n'], ids=["in the last column, so that the row has as many", "in the first column"]
)
def test_a_quote_that_is_never_closed_is_told_with_the_lines_that_it_swallowed(tmp_path, opened):
    path = write(tmp_path / "a.csv", f"store,units\n1,2\n{opened}" + "3,4\n" * 57)
    remarks = [remark for chunk in read(path) for remark in chunk.remarks]
    assert re.match(r"row 2: it has 5[78] line breaks between quotes, as if a quote is never closed", remarks[0])


def test_a_line_in_another_encoding_is_named_wherever_it_is(tmp_path):
    rows = b"".join(b"%d,5\n" % number for number in range(300_000))
    path = write(tmp_path / "a.csv", b"store,units\n" + rows + "Köln,7\n".encode("cp1252") + rows)
    message = refusal(path)
    assert "line 300,002 ('K\ufffdln,7') is not utf-8: set source.encoding" in message
    assert values(read(path, encoding="cp1252"), "store")[300_000] == "Köln"


@pytest.mark.parametrize(
    ("name", "content", "way_out"),
    [
        (
            "a.csv",
            gzip.compress(b"store,units\n1,5\n", mtime=0),
            r"compressed by gzip; give the file a name that ends in \.gz",
        ),
        ("a.jsonl", b"PK\x03\x04....", "compressed by zip, which is not read; unpack it"),
        ("a.csv.zst", b"(\xb5/\xfd", r"of compressed files only \.gz is read; unpack it"),
        ("a.zip", b"PK\x03\x04", r"of compressed files only \.gz is read; unpack it"),
    ],
    ids=["gzip", "zip", "named zst", "named zip"],
)
def test_compressed_files_are_told_from_text_of_another_encoding(tmp_path, name, content, way_out):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=way_out):
        read(tmp_path / name)


def test_a_uuid_is_read_as_its_text(tmp_path):
    ids = [uuid.UUID(int=7).bytes, None, uuid.UUID(int=2**127 + 200).bytes]
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array(ids, pa.binary(16)))
    pq.write_table(pa.table({"store": column, "units": [1, 2, 3]}), tmp_path / "a.parquet")
    (chunk,) = read(tmp_path / "a.parquet")
    assert chunk.table["store"].to_pylist() == [str(uuid.UUID(bytes=value)) if value else None for value in ids]


def test_names_that_differ_in_blanks_or_capitals_are_pointed_out(tmp_path):
    path = write(tmp_path / "a.csv", "Store, units \n1,5\n")
    with pytest.raises(
        SourceError, match="blanks and capitals count: 'Store' is not 'store', ' units ' is not 'units'"
    ):
        read(path)
