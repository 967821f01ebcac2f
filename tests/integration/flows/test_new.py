"""From a file that the product has never seen to a report, with no edit in between."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from itertools import product

import numpy as np
from deltalake import DeltaTable


def myriad(folder, *arguments):
    ours = ("MYRIAD_", "PREFECT_", "MLFLOW_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_spreadsheet_of_weekly_sales_becomes_a_report(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["Woche;Filiale;Artikel;Umsatz €"]
    for shop, item, week in product(("Köln / Süd", "Graz"), ("007", "042"), range(70)):
        day = date(2023, 1, 2) + timedelta(weeks=week)
        amount = f"{1000 + 200 * np.sin(week / 8) + rng.normal(0, 40):.2f}".replace(".", ",")
        lines.append(f"{day:%d.%m.%Y};{shop};{item};{amount}")
    (tmp_path / "Umsätze.csv").write_bytes(("\n".join(lines) + "\n").encode("cp1252"))
    assert "myriad run umsatze" in myriad(tmp_path, "new", "Umsätze.csv")
    myriad(tmp_path, "run", "umsatze")
    found = json.loads((tmp_path / "var/reports/umsatze/latest.json").read_text())
    assert found["rows"] == {"read": 280, "accepted": 280, "quarantined": 0}
    assert (found["segments"], found["outcomes"]["trained"], found["release"]) == (4, 4, 1)
    assert found["metric"]["champion"] <= found["metric"]["baseline"]
    frame = DeltaTable(tmp_path / "var/lake/umsatze/predictions").to_pandas()
    assert len(frame) == 4 * 8
    assert "Filiale=Köln %2F Süd/Artikel=007" in set(frame.segment)
    assert frame.prediction.between(500, 1500).all()
    assert (tmp_path / "var/reports/umsatze/latest.html").stat().st_size > 10_000
