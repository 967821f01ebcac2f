"""Every piece of code that `myriad new` prints runs on the very files, and makes one that `myriad new` accepts."""

import csv
import re

import numpy as np
import pandas as pd
import pytest

from adapters.sources.scaffold import scaffold_file
from domain.errors import SourceError
from domain.scaffold.source_profile import UserOptions

DAYS = pd.date_range("2023-01-01", periods=120)


def numbers(n, seed=1):
    return (100 + 20 * np.sin(np.arange(n) / 7 * 2 * np.pi) + np.random.default_rng(seed).normal(0, 3, n)).round(2)


def parts_of_a_date():
    days = pd.date_range("2020-06-01", periods=900)
    parts = [pd.DataFrame({"store": s, "year": days.year, "month": days.month, "day": days.day}) for s in ("a", "b")]
    return pd.concat(parts, ignore_index=True).assign(sales=np.append(numbers(900), numbers(900, 2)))


def seconds_since_1970():
    seconds = DAYS.astype("int64") // {"ns": 10**9, "us": 10**6, "s": 1}[DAYS.unit]
    return pd.DataFrame({"timestamp": np.tile(seconds, 2), "store": ["a"] * 120 + ["b"] * 120}).assign(
        sales=np.append(numbers(120), numbers(120, 2))
    )


def single_sales():
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {"order_date": rng.choice(DAYS.strftime("%Y-%m-%d"), 4_000), "store": rng.choice(list("ab"), 4_000)}
    )
    return rows.sort_values("order_date").assign(quantity=rng.integers(1, 9, 4_000))


def jittered():
    rng = np.random.default_rng(1)
    hours = pd.date_range("2024-01-01", periods=500, freq="h")
    parts = [
        pd.DataFrame(
            {"time": hours + pd.to_timedelta(rng.integers(-40, 40, 500), "s"), "sensor": name, "value": numbers(500)}
        )
        for name in ("s1", "s2")
    ]
    return pd.concat(parts)


def every_ten_seconds():
    times = pd.date_range("2024-01-01", periods=20_000, freq="10s")
    return pd.concat([pd.DataFrame({"time": times, "sensor": name, "value": numbers(20_000)}) for name in ("s1", "s2")])


SHAPES = [parts_of_a_date, seconds_since_1970, jittered]


def plain(frame, folder):
    frame.to_csv(folder / "data.csv", index=False)
    return "data.csv"


def german(frame, folder):
    text = frame.to_csv(index=False, sep=";", decimal=",", quoting=csv.QUOTE_MINIMAL)
    (folder / "Umsätze.csv").write_bytes(text.encode("cp1252"))
    return "Umsätze.csv"


def parquet(frame, folder):
    frame.to_parquet(folder / "data.parquet")
    return "data.parquet"


def zipped_folder(frame, folder):
    (folder / "in" / "deep").mkdir(parents=True)
    half = len(frame) // 2
    frame.iloc[:half].to_csv(folder / "in" / "1.csv.gz", index=False)
    frame.iloc[half:].to_csv(folder / "in" / "deep" / "2.csv.gz", index=False)
    return "in"


def pattern(frame, folder):
    (folder / "in").mkdir()
    half = len(frame) // 2
    frame.iloc[:half].to_csv(folder / "in" / "1.tsv", index=False, sep="\t")
    frame.iloc[half:].to_csv(folder / "in" / "2.tsv", index=False, sep="\t")
    return "in/*.tsv"


@pytest.mark.parametrize("store", [plain, german, parquet, zipped_folder, pattern])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_code_runs_and_gives_a_table_that_is_accepted(tmp_path, monkeypatch, shape, store):
    monkeypatch.chdir(tmp_path)
    data = store(shape(), tmp_path)
    with pytest.raises(SourceError) as caught:
        scaffold_file(data, UserOptions(task="forecast"), tmp_path, 2)
    code = "\n".join(re.findall(r"^    (.*)$", str(caught.value), flags=re.MULTILINE))
    assert "pd." in code, caught.value
    exec(compile(code, "advice", "exec"), {})
    assert "then: myriad new long.csv" in str(caught.value)
    written = scaffold_file("long.csv", UserOptions(), tmp_path, 2)
    assert written.scaffold.content["task"] == "forecast"


@pytest.mark.parametrize("store", [plain, german, parquet, zipped_folder, pattern])
@pytest.mark.parametrize(
    ("shape", "rule", "columns"), [(single_sales, "sum", ["store"]), (every_ten_seconds, "mean", ["sensor"])]
)
def test_rows_that_repeat_per_period_need_a_setting_and_no_code(tmp_path, shape, rule, columns, store):
    data = store(shape(), tmp_path)
    written = scaffold_file(data, UserOptions(task="forecast"), tmp_path, 2)
    content = written.scaffold.content
    assert (content["task"], content["aggregate"], content["segment_by"]) == ("forecast", rule, columns)
    assert not written.findings.segments.repeated
    assert written.findings.segments.merged > 0
