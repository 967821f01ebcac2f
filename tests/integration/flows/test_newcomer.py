"""A newcomer's files, as a German Excel exports them, get to forecasts with two commands and no code."""

import csv
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
FIRST = date(2024, 1, 1)


def german(value):
    return f"{value:.2f}".replace(".", ",")


def wide(folder):
    """Revenue by shop and month, one column a month: each year is 1,200 higher, each month has its own share."""
    months = [date(2020 + number // 12, number % 12 + 1, 1) for number in range(48)]
    lines = [["Filiale", *(f"{month:%d.%m.%Y}" for month in months)]]
    for number, shop in enumerate(("Köln", "München", "Düsseldorf")):
        lines.append([shop, *(german(1000 * (number + 1) + 100 * month.month) for month in months)])
    path = folder / "Umsätze.csv"
    path.write_bytes("\r\n".join(";".join(line) for line in lines).encode("cp1252"))
    return path.name


def receipts(folder):
    """Three to five receipts a day, of which the sum follows the weekday."""
    random = np.random.default_rng(1)
    lines = [["Belegnummer", "Datum", "Filiale", "Preis", "Umsatz"]]
    for day in range(140):
        for shop in ("Köln", "Bonn"):
            total, count = 100 + 10 * (day % 7), int(random.integers(3, 6))
            for number in range(count):
                moment = f"{FIRST + timedelta(days=day):%d.%m.%Y} {8 + 2 * number:02d}:{random.integers(60):02d}"
                lines.append([f"B{len(lines):05d}", moment, shop, german(random.uniform(1, 3)), german(total / count)])
    path = folder / "Belege.csv"
    path.write_bytes("\r\n".join(";".join(line) for line in lines).encode("cp1252"))
    return path.name


def myriad(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported(folder, fleet):
    myriad(folder, "export", fleet, "forecasts", "--out", "out.csv")
    with (folder / "out.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("write", [wide, receipts])
def test_german_files_become_forecasts_without_a_line_of_code(tmp_path, write):
    name = write(tmp_path)
    myriad(tmp_path, "new", name)
    (fleet,) = (path.stem for path in (tmp_path / "fleets").glob("*.yaml"))
    assert "no errors, no warnings" in myriad(tmp_path, "check", fleet)
    summary = myriad(tmp_path, "run", fleet)
    rows = exported(tmp_path, fleet)
    assert {row["status"] for row in rows} == {"ok"}
    if write is wide:
        assert "144 read = 144 accepted + 0 quarantined" in summary
        expected = {
            (shop, f"2024-{month:02d}-01"): 1000 * (number + 1) + 100 * month
            for number, shop in enumerate(("Köln", "München", "Düsseldorf"))
            for month in range(1, 13)
        }
    else:
        assert "280 accepted + " in summary
        assert " merged into their period + 0 quarantined" in summary
        days = [(FIRST + timedelta(days=day), 100 + 10 * (day % 7)) for day in range(140, 154)]
        expected = {(shop, f"{day}"): value for shop in ("Köln", "Bonn") for day, value in days}
    made = {(row["Filiale"], row["time"][:10]): float(row["prediction"]) for row in rows}
    assert made.keys() == expected.keys()
    assert [made[key] for key in expected] == pytest.approx(list(expected.values()), rel=0.02)
