"""MLflow model directories, written without `log_model`, which takes many times longer for the same files."""

import hashlib
import json
import os
import platform
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from adapters.registry.types import FINGERPRINT_TAG, ModelEntry
from domain.errors import RegistryError

if TYPE_CHECKING:
    import onnx

RECORD_KEY = "myriad.record"
_REQUIREMENTS = ("mlflow", "numpy", "onnx", "onnxruntime")
# MLflow's names of the element types that its tensor signatures know, by ONNX's names.
_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "INT32": "int32", "INT64": "int64"}


@dataclass(frozen=True)
class ModelDirectory:
    """Folder of a model below the run's artifacts, and its files by name, `MLmodel` last."""

    name: str
    files: Mapping[str, bytes]


def directory_name(entry: ModelEntry) -> str:
    """Return ``<name>-<digest of fingerprint and graph>``.

    A bucket that is repeated under the same run with new rows creates a new version, which must not replace the files
    of the previous version.
    """
    return f"{entry.name}-{_digest(entry)[:12]}"


def model_directory(entry: ModelEntry, run_id: str, started_ms: int) -> ModelDirectory:
    """Build the model directory of an entry; repeated for the same run it has the same bytes."""
    mlmodel = _mlmodel(entry, run_id, datetime.fromtimestamp(started_ms / 1000, UTC))
    return ModelDirectory(directory_name(entry), {"model.onnx": entry.onnx, **_environment(), "MLmodel": mlmodel})


def write_directories(root: Path, directories: Iterable[ModelDirectory]) -> None:
    """Write the files below `root` that are missing or incomplete; each appears whole or not at all.

    The files of the environment are the same in all directories: hard links to a single copy, if the file system
    supports them.
    """
    root.mkdir(parents=True, exist_ok=True)
    shared: dict[str, Path] = {}
    for directory in directories:
        folder = root / directory.name
        try:
            folder.mkdir()
        except FileExistsError:
            files = {
                name: content for name, content in directory.files.items() if not _is_complete(folder / name, content)
            }
        else:
            files = dict(directory.files)
        for name, content in files.items():
            path = folder / name
            if name in shared and _link(shared[name], path):
                continue
            # A unique name: two writers of one bucket must not write into each other's draft.
            draft = folder / f".{name}.{os.getpid()}-{threading.get_ident()}"
            draft.write_bytes(content)
            draft.replace(path)
            if _environment().get(name) is content:
                shared.setdefault(name, path)


def _link(source: Path, path: Path) -> bool:
    try:
        path.hardlink_to(source)
    except OSError:  # An incomplete file exists, or links are not supported: write it like the others.
        return False
    return True


def local_path(uri: str) -> Path | None:
    """Return the folder that a plain path or a file URI names; None for any other store."""
    parts = urlsplit(uri)
    if parts.scheme == "":
        return Path(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return None


def _is_complete(path: Path, content: bytes) -> bool:
    """Return True if the file has this content: it may be incomplete, or changed since it was written."""
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


@cache
def _environment() -> dict[str, bytes]:
    """Return the files from which MLflow rebuilds the environment of a model."""
    requirements = "".join(f"{name}=={version(name)}\n" for name in _REQUIREMENTS)
    python_env = (
        f'python: "{platform.python_version()}"\nbuild_dependencies:\n- pip\ndependencies:\n- -r requirements.txt\n'
    )
    return {"requirements.txt": requirements.encode(), "python_env.yaml": python_env.encode()}


def _digest(entry: ModelEntry) -> str:
    return hashlib.sha256(entry.fingerprint.encode() + b"\0" + entry.onnx).hexdigest()


def _mlmodel(entry: ModelEntry, run_id: str, made_at: datetime) -> bytes:
    """Return the MLmodel file.

    Strings are JSON, which is valid YAML. CPU is the only provider, so that no loader warns of a missing GPU.
    """
    lines = [
        f"artifact_path: {_quoted(directory_name(entry))}",
        "flavors:",
        "  onnx:",
        "    code: null",
        "    data: model.onnx",
        f'    onnx_version: "{version_of("onnx")}"',
        "    providers:",
        "    - CPUExecutionProvider",
        "  python_function:",
        "    data: model.onnx",
        "    env:",
        "      virtualenv: python_env.yaml",
        "    loader_module: mlflow.onnx",
        f'    python_version: "{platform.python_version()}"',
        "metadata:",
        f"  {FINGERPRINT_TAG}: {_quoted(entry.fingerprint)}",
        *([f"  {RECORD_KEY}: {_quoted(entry.record)}"] if entry.record else []),
        f'mlflow_version: "{version_of("mlflow")}"',
        f"model_size_bytes: {len(entry.onnx)}",
        f"model_uuid: {_digest(entry)[:32]}",
        f'run_id: "{run_id}"',
        *_signature(entry),
        f"utc_time_created: '{made_at:%Y-%m-%d %H:%M:%S.%f}'",
    ]
    return ("\n".join(lines) + "\n").encode()


@cache
def version_of(package: str) -> str:
    """Return the installed version of a package; cached, because reading its metadata takes a millisecond."""
    return version(package)


def _signature(entry: ModelEntry) -> list[str]:
    """Return the graph's inputs and outputs as MLflow's signature; empty if MLflow has no name for one of the types."""
    import onnx  # Imported here, since looking up versions needs no graph.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.ModelProto.FromString(entry.onnx).graph
    except DecodeError as exc:
        raise RegistryError(f"model {entry.name!r}: {len(entry.onnx)} bytes that are not an ONNX graph") from exc
    weights = {weight.name for weight in graph.initializer}
    inputs = [_tensor(value) for value in graph.input if value.name not in weights]
    outputs = [_tensor(value) for value in graph.output]
    if not outputs:
        raise RegistryError(f"model {entry.name!r}: {len(entry.onnx)} bytes that are not an ONNX graph with outputs")
    if None in inputs or None in outputs:
        return []
    return [
        "signature:",
        f"  inputs: {_quoted(json.dumps(inputs))}",
        f"  outputs: {_quoted(json.dumps(outputs))}",
        "  params: null",
    ]


def _tensor(value: "onnx.ValueInfoProto") -> dict[str, object] | None:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    dtype = _DTYPES.get(TensorProto.DataType.Name(tensor.elem_type))
    if dtype is None:
        return None
    shape = [dim.dim_value or -1 for dim in tensor.shape.dim]
    return {"name": value.name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
