"""Describe the machine and the versions of a benchmark, without which its figures mean nothing."""

import os
import platform
from importlib.metadata import version

__all__ = ["describe"]

_PACKAGES = ("numpy", "pandas", "pyarrow", "onnxruntime", "lightgbm", "mlflow", "prefect", "distributed", "deltalake")


def describe(command: str) -> list[str]:
    """Return lines that name machine, versions and command."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"machine: {cores} cores, {platform.machine()}, Python {platform.python_version()}",
        f"versions: {versions}",
        f"command: {command}",
    ]
