"""Receipts: rows of one period over several files are added up, file by file, and none vanishes."""

from dataclasses import replace

import pytest

from domain.data.tables import observations
from domain.errors import PartitionError
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.reporting.facts import row_balance

HEADER = "store,brand,day,units,price\n"


@pytest.fixture
def receipts(run, fleet):
    return with_fleet(run, fleet.forecast(aggregate={"units": "sum", "price": "mean"}, source={"path": "in/*.csv"}))


def with_fleet(run, fleet):
    return Run(replace(run.context, fleet=fleet), run.workers)


def write(tmp_path, name, *rows):
    (tmp_path / "in" / name).write_text(HEADER + "".join(f"1,x,{row}\n" for row in rows))


def days(run):
    rows = run.table(observations(run.fleet)).read().sort_by("time").to_pylist()
    return [(f"{row['time']:%d}", row["target"], row["x_price"], row["row"]) for row in rows]


def rebuilt(run):
    receipt = ingest_files(run, "observations", run.fleet.source)
    return receipt, partition_observations(run)


def test_rows_of_one_period_add_up_over_files_and_none_vanishes(receipts, tmp_path):
    write(tmp_path, "a.csv", "2024-01-01,2,1", "2024-01-01,3,2", "2024-01-02,5,1", "soon,1,1")
    receipt, summary = rebuilt(receipts)
    assert (receipt.read, receipt.accepted, receipt.rejected) == (4, 3, 1)
    assert (summary.landed, summary.accepted, summary.merged, summary.rejected) == (3, 2, 1, 0)
    assert days(receipts) == [("01", 5.0, 1.5, 1), ("02", 5.0, 1.0, 2)]

    write(tmp_path, "b.csv", "2024-01-02,7,3", "2024-01-03,1,1")
    receipt, summary = rebuilt(receipts)
    assert (receipt.read, summary.merged) == (2, 2)
    assert days(receipts) == [("01", 5.0, 1.5, 1), ("02", 12.0, 2.0, 0), ("03", 1.0, 1.0, 1)]
    counts = row_balance(receipts)
    assert (counts.read, counts.accepted, counts.merged, counts.quarantined) == (6, 3, 2, 1)

    write(tmp_path, "b.csv", "2024-01-02,1,3")  # Corrected: a file replaces its own rows, and no others.
    rebuilt(receipts)
    assert days(receipts) == [("01", 5.0, 1.5, 1), ("02", 6.0, 2.0, 0)]

    write(tmp_path, "c.csv", "2024-01-02,1,3")  # The same content counts once.
    receipt, _ = rebuilt(receipts)
    assert receipt.refused
    assert days(receipts)[1][1] == 6.0


def test_another_rule_rebuilds_the_series_and_reads_no_file_again(receipts, tmp_path, fleet):
    write(tmp_path, "a.csv", "2024-01-01,2,1", "2024-01-01,3,2", "2024-01-02,4,1")
    rebuilt(receipts)
    mean = fleet.forecast(aggregate="mean", source={"path": "in/*.csv"})
    other = with_fleet(receipts, mean)
    receipt, _ = rebuilt(other)
    assert (receipt.unchanged, [day[1] for day in days(other)]) == (1, [2.5, 4.0])
    counted = fleet.forecast(aggregate="count", source={"path": "in/*.csv"})
    other = with_fleet(receipts, counted)
    receipt, _ = rebuilt(other)
    assert (receipt.unchanged, [day[1] for day in days(other)]) == (0, [2.0, 1.0])
    plain = fleet.forecast(source={"path": "in/*.csv"}, validation={"max_quarantined_share": 0.2})
    with pytest.raises(PartitionError, match="1 of 3 rows would be quarantined"):
        rebuilt(with_fleet(receipts, plain))
