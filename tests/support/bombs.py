"""Small files that stand for very much, and a child process that meets one and tells what it cost.

Run as a script: WAYS FOLDER NAME. WAYS, separated by commas, are how the file is met: names, check, new, ingest. For
each a line is printed: seconds of CPU, MiB above what the process had before, length of the answer, the answer.
"""

import gzip
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = b"store,day,units\n"
GOOD = b"1,2024-01-01,5\n"
MILLION = 1_000_000


def _zipped(*parts: tuple[bytes, int]) -> bytes:
    """Compress repeated pieces without holding them: (piece, times), ..."""
    return b"".join(gzip.compress(piece * times) for piece, times in parts)


def _dictionary(value: str, rows: int, values: int = 1) -> pa.Table:
    stores = pa.DictionaryArray.from_arrays(
        pa.array([row % values for row in range(rows)], pa.int32()),
        pa.array([f"{value}{number}" for number in range(values)]),
    )
    day = pa.repeat(pa.scalar("2024-01-01"), rows)
    return pa.table({"store": stores, "day": day.dictionary_encode(), "units": pa.repeat(pa.scalar(1.0), rows)})


def _parquet(path: Path, table: pa.Table, repeat: int = 1, **options: object) -> None:
    with pq.ParquetWriter(path, table.schema, compression="zstd", store_schema=False, **options) as writer:
        for _ in range(repeat):
            writer.write_table(table, row_group_size=table.num_rows)


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


BOMBS: dict[str, Callable[[Path], object]] = {
    "commas.csv.gz": _write(_zipped((b",", 61 * MILLION))),
    "commas.csv": _write(b"," * 20 * MILLION),
    "names.csv": _write(b",".join(b"column%d" % n for n in range(60_000)) + b"\n1\n"),
    "long-name.csv": _write(b"x" * 20 * MILLION + b",day\n1,2\n"),
    "open-quote.csv.gz": _write(_zipped((b'"', 1), (b"x\n", 30 * MILLION))),
    "blank.csv.gz": _write(_zipped((b"\n", 80 * MILLION))),
    "long-line.csv.gz": _write(_zipped((HEADER + GOOD, 1), (b"1,", 40 * MILLION))),
    "long-value.csv": _write(HEADER + GOOD + b"x" * 40 * MILLION + b",2024-01-01,5\n"),
    "zeros.csv.gz": _write(_zipped((b"\0", 80 * MILLION))),
    "blank-rows.csv.gz": _write(_zipped((HEADER + GOOD, 1), (b"\n", 80 * MILLION))),
    "short-rows.csv.gz": _write(_zipped((HEADER + GOOD, 1), (b",,\n", 30 * MILLION))),
    "broken-rows.csv.gz": _write(_zipped((HEADER + GOOD, 1), (b"a\n", 40 * MILLION))),
    "broken-rows.csv": _write(HEADER + GOOD + b"a\n" * 10 * MILLION),
    "broken-long.csv": _write(HEADER + GOOD + (b"a" * MILLION + b"\n") * 60),
    "dictionary.parquet": lambda path: _parquet(path, _dictionary("x" * 10 * MILLION, MILLION)),
    "medium.parquet": lambda path: _parquet(path, _dictionary("x" * 900_000, MILLION, 10)),
    "small.parquet": lambda path: _parquet(path, _dictionary("x" * 60_000, MILLION, 10)),
    "runs.parquet": lambda path: _parquet(path, _dictionary("x", 5 * MILLION), repeat=60),
    "plain.parquet": lambda path: _parquet(
        path,
        pa.table({"store": ["x" * 100 * MILLION] * 20, "day": ["2024-01-01"] * 20, "units": [1.0] * 20}),
        use_dictionary=False,
    ),
    "columns.parquet": lambda path: _parquet(path, pa.table({f"c{n}": [1] for n in range(30_000)})),
}


def _peak_mib() -> float:
    """Peak of this process alone: `ru_maxrss` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _meet(how: str, folder: Path, name: str) -> None:
    from adapters.lake.files import list_files
    from adapters.lake.table import Lake
    from adapters.sources.precheck import refusals
    from adapters.sources.sampling import check_fleet
    from adapters.sources.scaffold import scaffold_file
    from domain.config.fleet import parse_fleet
    from domain.scaffold.source_profile import UserOptions
    from tasks.workers.ingest import ingest_file
    from tasks.workers.run_context import RunContext

    time_rule = {"column": "day", "frequency": "D"}
    content = {"name": "shop", "task": "forecast", "source": {"path": name}, "segment_by": ["store"], "horizon": 2}
    fleet = parse_fleet({**content, "time": time_rule, "target": {"column": "units"}, "candidates": ["ses"]}, "shop")
    context = RunContext(fleet, Lake(str(folder / "lake")), "run", folder)
    began, before = time.process_time(), _peak_mib()
    try:
        if how == "names":
            answer = str(refusals([name], fleet, fleet.source, folder))
        elif how == "check":
            answer = "; ".join(problem.message for problem in check_fleet(fleet, folder, 1).problems)
        elif how == "new":
            answer = str(scaffold_file(name, UserOptions(), folder, 1).path)
        else:
            answer = ingest_file(context, "observations", fleet.source, list_files(name, folder)[0]).error
    except Exception as exc:  # noqa: BLE001 - the refusal, whatever it is, is told
        answer = f"{type(exc).__name__}: {exc}"
    memory = _peak_mib() - before
    print(f"{time.process_time() - began:.2f} {memory:.0f} {len(answer)} {answer[:300]!r}")


if __name__ == "__main__":
    for how in sys.argv[1].split(","):
        _meet(how, Path(sys.argv[2]), sys.argv[3])
