"""Change the graphs of stored models behind Myriad's back: one byte, and nothing else."""

from pathlib import Path


def changed(content):
    """The content with one bit of its middle byte flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def tamper_table(run, spec, *segments, where=lambda partition: True):
    """Commit the models of these segments with a changed graph and the recorded SHA-256 of before."""
    table = run.table(spec)
    for file in table.files(where):
        rows = table.read_files([file], table.spec.file_schema.names)
        records = rows.to_pylist()
        if not {record["segment"] for record in records} & set(segments):
            continue
        graphs = [changed(row["onnx"]) if row["segment"] in segments else row["onnx"] for row in records]
        place = rows.schema.get_field_index("onnx")
        column = rows.schema.field("onnx")
        staged = table.stage(rows.set_column(place, column, [graphs]), **file.partition)
        table.replace([staged], lambda committed, path=file.path: committed.path == path)


def tamper_artifact(folder, model_name):
    """Change every stored graph of a registered model; returns the files."""
    paths = sorted(path / "model.onnx" for path in Path(folder).rglob(f"{model_name}-*"))
    for path in paths:
        path.write_bytes(changed(path.read_bytes()))
    return paths
