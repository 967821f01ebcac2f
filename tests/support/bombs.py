"""Small files that stand for very much, and a process that meets them and tells what each costs.

Run as a script: FOLDER. Each line of its input is the way a file is met (names, check, new, ingest) and its name. A
process forked for it alone answers with one line: seconds of CPU, MiB above what a process has that has read a
harmless file, length of the answer, the answer.
"""

import gzip
import os
import resource
import struct
import sys
from collections.abc import Callable
from importlib import import_module
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


def _plain(value: str, rows: int) -> pa.Table:
    return pa.table({"store": [value] * rows, "day": ["2024-01-01"] * rows, "units": [1.0] * rows})


def _nested(kind: pa.DataType, values: list[object]) -> pa.Table:
    """A list for a segment, and a long one in a column that no fleet reads."""
    column = pa.array([values] * 2, kind)
    return pa.table({"store": column, "day": ["2024-01-01"] * 2, "units": [1.0] * 2, "other": column})


def _deep(levels: int) -> pa.Table:
    column = pa.array([1])
    for _ in range(levels):
        column = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), column)
    return pa.table({"store": column, "day": ["2024-01-01"], "units": [1.0]})


def _varint(number: int) -> bytes:
    number, content = number << 1, bytearray()
    while number >= 128:
        content.append(number & 127 | 128)
        number >>= 7
    return bytes(content) + bytes([number])


def _false_footer(path: Path, claim: int) -> None:
    """A file of 1,234,567 rows whose footer claims another number of rows, and of values in each column."""
    _parquet(path, pa.table({"store": pa.nulls(1_234_567, pa.int64()), "day": pa.nulls(1_234_567, pa.int64())}))
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - size : -8].replace(_varint(1_234_567), _varint(claim))
    path.write_bytes(content[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1")


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
    "runs.parquet": lambda path: _parquet(path, _dictionary("x", MILLION), repeat=60),
    "plain.parquet": lambda path: _parquet(path, _plain("x" * 30 * MILLION, 20), use_dictionary=False),
    "columns.parquet": lambda path: _parquet(path, pa.table({f"c{n}": [1] for n in range(30_000)})),
    "short-rows.csv": _write(HEADER + GOOD + b",,\n" * 21 * MILLION),
    "good-rows.csv": _write(HEADER + b"1,,1\n" * 12 * MILLION),
    "quoted.csv.gz": _write(_zipped((HEADER + GOOD + b'"', 1), (b"x", 80 * MILLION))),
    "quoted-rows.csv.gz": _write(_zipped((HEADER + GOOD + b'"', 1), (GOOD, 5 * MILLION))),
    "lists.parquet": lambda path: _parquet(path, _nested(pa.list_(pa.int64()), [1] * 10 * MILLION)),
    "text-lists.parquet": lambda path: _parquet(path, _nested(pa.list_(pa.string()), ["x" * 60_000] * 10_000)),
    "deep-lists.parquet": lambda path: _parquet(path, _deep(80)),
    "groups.parquet": lambda path: _parquet(path, _plain("1", 1), repeat=100_000),
    "false-counts.parquet": lambda path: _false_footer(path, 10**15),
    "false-offsets.parquet": lambda path: _false_footer(path, 2**62),
    "false-length.parquet": _write(b"PAR1" + b"x" * 1000 + struct.pack("<I", 2**31 - 1) + b"PAR1"),
}


def _peak_mib() -> float:
    """Peak of this process alone: `ru_maxrss` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _meet(way: str, folder: Path, name: str) -> str:
    """Answer to a file that is met in one way. All is imported here, after the fork or before it."""
    from adapters.lake.table import Lake
    from adapters.sources.kinds import list_inputs
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
    try:
        if way == "names":
            return str(refusals([name], fleet, fleet.source, folder))
        if way == "check":
            return "; ".join(problem.message for problem in check_fleet(fleet, folder, 1).problems)
        if way == "new":
            return str(scaffold_file(name, UserOptions(), folder, 1, force=True).path)
        (item,) = list_inputs(fleet.source, folder, name).inputs
        return ingest_file(context, "observations", fleet.source, item).error
    except Exception as exc:  # noqa: BLE001 - the refusal, whatever it is, is the answer
        return f"{type(exc).__name__}: {exc}"


def _report(way: str, folder: Path, name: str) -> None:
    """Print what it costs to meet one file in a process that has read a harmless one."""
    (folder / "harmless.csv").write_bytes(HEADER + GOOD * 2)
    _meet(way, folder, "harmless.csv")
    began, before = _cpu_seconds(), _peak_mib()
    answer = _meet(way, folder, name)
    memory = _peak_mib() - before
    print(f"{_cpu_seconds() - began:.2f} {memory:.0f} {len(answer)} {answer[:300]!r}", flush=True)


def _serve(folder: Path) -> None:
    """Fork a process for each line of the input."""
    for line in sys.stdin:
        way, name = line.split()
        child = os.fork()
        if not child:
            _report(way, folder, name)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(f"Died: {status}", flush=True)


if __name__ == "__main__":
    for module in ("adapters.lake.table", "adapters.sources.precheck", "adapters.sources.scaffold"):
        import_module(module)
    import_module("tasks.workers.ingest")
    _serve(Path(sys.argv[1]))
