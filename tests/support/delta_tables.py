"""Delta tables as other writers make them: with deletion vectors, renamed columns, and paths that lead elsewhere."""

import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["change_log", "vector", "write_table_by_hand"]

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_LOG = "_delta_log/00000000000000000000.json"


def vector(rows):
    """A deletion vector in the log itself, of rows by number."""
    header = struct.pack("<II", 12346, 1) + struct.pack("<HH", 0, len(rows) - 1) + struct.pack("<I", 16)
    bitmap = header + b"".join(struct.pack("<H", row) for row in rows)
    content = struct.pack("<iQI", 1681511377, 1, 0) + bitmap
    padded = content + b"\0" * (-len(content) % 4)
    text = ""
    for start in range(0, len(padded), 4):
        value, group = int.from_bytes(padded[start : start + 4], "big"), ""
        for _ in range(5):
            value, digit = divmod(value, 85)
            group = _Z85[digit] + group
        text += group
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(content), "cardinality": len(rows)}


def write_table_by_hand(folder, rows, deleted=(), renamed=False, mode="name"):
    """Write a table of one data file. deleted : numbers of rows. renamed : with column mapping."""
    folder = Path(folder)
    (folder / "_delta_log").mkdir(parents=True)
    physical = {name: f"col-{place}" if renamed else name for place, name in enumerate(rows.column_names)}
    pq.write_table(rows.rename_columns([physical[name] for name in rows.column_names]), folder / "part-0 1.parquet")
    kinds = {pa.string(): "string", pa.float64(): "double", pa.int64(): "long", pa.date32(): "date"}
    fields = [
        {
            "name": field.name,
            "type": kinds[field.type],
            "nullable": True,
            "metadata": _mapping(place, physical[field.name]) if renamed else {},
        }
        for place, field in enumerate(rows.schema, 1)
    ]
    features = {"minReaderVersion": 3, "minWriterVersion": 7}
    features |= {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    add = {
        "path": "part-0%201.parquet",
        "partitionValues": {},
        "size": (folder / "part-0 1.parquet").stat().st_size,
        "modificationTime": 1_700_000_000_000,
        "dataChange": True,
        "stats": json.dumps({"numRecords": rows.num_rows}),
    }
    metadata = {
        "id": "made-by-hand",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": [],
        "configuration": {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "9"} if renamed else {},
        "createdTime": 1,
    }
    if deleted:
        add["deletionVector"] = vector(deleted)
    protocol = {"minReaderVersion": 2, "minWriterVersion": 5} if renamed else features
    actions = [{"protocol": protocol}, {"metaData": metadata}, {"add": add}]
    (folder / _LOG).write_text("\n".join(map(json.dumps, actions)))


def _mapping(number, physical):
    return {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": physical}


def change_log(folder, change):
    """Change the `add` of the only data file in the log."""
    path = Path(folder) / _LOG
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    change(actions[-1]["add"])
    path.write_text("\n".join(map(json.dumps, actions)))
