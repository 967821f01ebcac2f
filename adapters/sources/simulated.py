"""Write simulated data as raw files, with a fleet file that is ready to run."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import yaml

from adapters.lake.files import replacing
from domain.data.simulation import SimulationChunk, SimulationSpec, simulate
from domain.errors import SourceError

__all__ = ["SimulationFormat", "simulate_fleet", "write_simulation"]

SimulationFormat = Literal["parquet", "csv"]

_SEGMENTS_PER_FILE = 1_000
_PARTS = ("sales", "future", "actuals")


def simulate_fleet(
    folder: Path,
    segments: int,
    files: int | None,
    format: SimulationFormat,
    sizes: Mapping[str, int],
    shares: Mapping[str, float],
) -> list[Path]:
    """Write a simulation of exactly `segments` segments, and list the written files, the fleet file last.

    Parameters
    ----------
    files : number of files per table; by default one per 1,000 segments.
    sizes : weeks, horizon and seed.
    shares : share by kind of segment or defect, such as `short`.

    Raises
    ------
    SourceError : the shares are impossible, or the folder cannot be written.
    """
    values: dict[str, Any] = {**sizes, **{f"{name}_share": share for name, share in shares.items()}}
    try:
        spec = SimulationSpec(stores=-(-segments // len(SimulationSpec.brands)), max_segments=segments, **values)
    except ValueError as exc:
        raise SourceError(str(exc)) from exc
    try:
        return write_simulation(spec, folder, files or -(-segments // _SEGMENTS_PER_FILE), format)
    except OSError as exc:
        raise SourceError(f"{folder}: cannot be written: {exc.strerror or exc}; name another folder") from exc


def write_simulation(
    spec: SimulationSpec, folder: Path, files: int = 1, format: SimulationFormat = "parquet"
) -> list[Path]:
    """Write sales, future and actuals as `files` files each, and `fleet.yaml`; list the written files.

    Each file holds a range of segments, and the rows are the same for any number of files. Files of an earlier
    simulation in the same folder are removed.

    Raises
    ------
    SourceError : there would be more files than segments, or Parquet would have to hold unparsable numbers.
    """
    if spec.unparsable_share > 0 and format == "parquet":
        raise SourceError("unparsable_share: Parquet columns are typed; use format csv, or a share of 0")
    if not 1 <= files <= spec.segments:
        raise SourceError(f"files: {files} is not allowed; give 1 to {spec.segments}, the number of segments")
    written: list[Path] = []
    for index in range(files):
        segments = range(spec.segments * index // files, spec.segments * (index + 1) // files)
        paths = [folder / part / f"part-{index:05d}.{format}" for part in _PARTS]
        _write_parts(simulate(spec, segments), paths)
        written += paths
    _remove_others(folder, written)
    fleet = folder / "fleet.yaml"
    with replacing(fleet) as temporary:
        temporary.write_text(_fleet_yaml(spec, folder, format), "utf-8")
    return [*sorted(written), fleet]


def _write_parts(chunks: Iterator[SimulationChunk], paths: list[Path]) -> None:
    """Write the three tables chunk by chunk, so that memory holds one chunk."""
    with ExitStack() as stack:
        temporary = [stack.enter_context(replacing(path)) for path in paths]
        writers: list[pq.ParquetWriter | pacsv.CSVWriter] = []
        for chunk in chunks:
            tables = (chunk.sales, chunk.future, chunk.actuals)
            if not writers:
                writers = [stack.enter_context(_writer(*place)) for place in zip(temporary, paths, tables, strict=True)]
            for writer, table in zip(writers, tables, strict=True):
                writer.write_table(table)


def _writer(temporary: Path, path: Path, table: pa.Table) -> pq.ParquetWriter | pacsv.CSVWriter:
    if path.suffix == ".parquet":
        return pq.ParquetWriter(temporary, table.schema, compression="zstd")
    return pacsv.CSVWriter(str(temporary), table.schema, write_options=pacsv.WriteOptions(quoting_header="none"))


def _remove_others(folder: Path, written: list[Path]) -> None:
    for part in _PARTS:
        for path in (folder / part).glob("part-*.*"):
            if path not in written and path.suffix in (".parquet", ".csv"):
                path.unlink()


def _fleet_yaml(spec: SimulationSpec, folder: Path, format: SimulationFormat) -> str:
    def source(part: str) -> dict[str, str]:
        return {"path": f"{folder.resolve().as_posix()}/{part}/*.{format}", "format": format}

    fleet = {
        "name": "simulated",
        "description": f"{spec.segments:,} simulated segments of weekly sales, seed {spec.seed}",
        "task": "forecast",
        "source": source("sales"),
        "segment_by": ["store", "brand"],
        "time": {"column": "week", "frequency": "W"},
        "target": {"column": "units", "transform": "log1p", "minimum": 0.0},
        "features": {"known": ["price", "promo"]},
        "horizon": spec.horizon,
        "candidates": ["seasonal_naive", "theta", "ridge"],
        "fallback": [{"parent": "brand"}, "global"],
        "score": {"source": source("future")},
        "test": {"source": source("actuals"), "target": "units"},
    }
    return "# Written by adapters/sources/simulated.py beside its data.\n" + yaml.safe_dump(fleet, sort_keys=False)
