"""Lakes with something wrong: champions that are broken or gone, and trainings that failed."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from domain.data.tables import CHAMPIONS, OUTCOMES


def change_champions(run, segments, **values):
    """Put other values into the stored champions of some segments or levels; another graph with its own digest."""
    if "onnx" in values:
        values = {"sha256": hashlib.sha256(values["onnx"]).hexdigest(), **values}
    table = run.table(CHAMPIONS)
    for file in table.files():
        rows = table.read_files([file], table.spec.file_schema.names)
        chosen = pc.is_in(rows["segment"], pa.array(segments))
        for name, value in values.items():
            place = rows.column_names.index(name)
            kind = rows.schema.field(name).type
            rows = rows.set_column(place, name, pc.if_else(chosen, pa.scalar(value, kind), rows[name]))
        table.replace([table.stage(rows, **file.partition)], lambda other, path=file.path: other.path == path)


def drop_champion(run, segment):
    table = run.table(CHAMPIONS)
    for file in table.files():
        rows = table.read_files([file], table.spec.file_schema.names)
        rest = rows.filter(pc.not_equal(rows["segment"], segment))
        table.replace([table.stage(rest, **file.partition)], lambda other, path=file.path: other.path == path)


def fail_in_training(run, segment, reason):
    table = run.table(OUTCOMES)
    for file in table.files():
        rows = table.read_files([file], table.spec.file_schema.names)
        chosen = pc.equal(rows["segment"], segment)
        for name, value in (("outcome", "failed"), ("reason", reason)):
            rows = rows.set_column(rows.column_names.index(name), name, pc.if_else(chosen, value, rows[name]))
        table.replace([table.stage(rows, **file.partition)], lambda other, path=file.path: other.path == path)
