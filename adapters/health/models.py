"""Compare the champions in force with the graphs that were trained: in the lake, and in the registry's files."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.lake.s3 import Bucket
from adapters.lake.table import Lake
from adapters.settings import Settings
from domain.checks.health import Check
from domain.data.graph_digest import graph_failure
from domain.data.tables import CHAMPIONS
from domain.errors import LakeError, RegistryError

_LIMIT_S = 12.0
"""Less than an examination may take: what is not compared by then is reported, and is no failure."""
_TOGETHER = 200
_COLUMNS = ["segment", "model_name", "fingerprint", "onnx", "sha256"]
_NAMED = 3


@dataclass(frozen=True)
class _Compared:
    """Digests by name and fingerprint of the models compared, the names of changed ones, and the number of all."""

    digests: dict[tuple[str, str], str]
    changed: list[str]
    total: int


def models(settings: Settings) -> Iterator[Check]:
    """Check the graphs of all fleets in the lake, and their files in the registry."""
    lake, end = Lake(settings.lake_uri), time.monotonic() + _LIMIT_S
    if settings.lake.startswith("s3://"):
        try:
            Bucket(settings.lake).reach()  # Before Delta, whose retries take minutes.
        except LakeError as exc:
            yield Check("models", "graphs", "warning", f"not compared: {exc}", "see the lake's checks")
            return
    any_release = False
    for fleet in lake.fleets():
        compared = _in_lake(lake, fleet, end)
        if compared.total:
            any_release = True
            yield _check(fleet, "in the lake", compared.changed, len(compared.digests), compared.total)
            if settings.tracking_uri or settings.path("var/mlflow/mlflow.db").exists():
                yield _in_registry(settings, fleet, compared, end)
    if not any_release:
        yield Check("models", "graphs", "unused", "no fleet in the lake has a release yet")


def _in_lake(lake: Lake, fleet: str, end: float) -> _Compared:
    table = lake.table(fleet, CHAMPIONS)
    files = table.files()
    newest = max((int(file.partition["release"]) for file in files), default=0)
    files = [file for file in files if file.partition["release"] == str(newest)]
    digests: dict[tuple[str, str], str] = {}
    changed = []
    for file in files:
        if time.monotonic() > end:
            break
        for row in table.read_files([file], _COLUMNS).to_pylist():
            digests[row["model_name"], row["fingerprint"]] = row["sha256"] or ""
            if graph_failure(row["onnx"], row["sha256"]):
                changed.append(f"{row['model_name']} of {row['segment']}")
    return _Compared(digests, changed, sum(file.rows for file in files))


def _in_registry(settings: Settings, fleet: str, compared: _Compared, end: float) -> Check:
    from adapters.registry import DirectAccess, Registry

    direct_access = DirectAccess(settings.registry_database, settings.registry_files)
    registry = Registry(settings.mlflow_uri, settings.mlflow_artifacts, direct_access=direct_access)
    changed: list[str] = []
    done = 0
    try:
        stored = registry.stored(sorted({name for name, _ in compared.digests}))
        known = {(version.name, version.fingerprint): version for version in stored}
        expected = {version: compared.digests[key] for key, version in known.items() if key in compared.digests}
        while done < len(expected) and time.monotonic() < end:
            versions = list(expected)[done : done + _TOGETHER]
            gone = set(registry.incomplete(versions))
            altered = registry.altered({item: expected[item] for item in versions if item not in gone})
            changed += [f"{item.name} version {item.version}" for item in altered]
            done += len(versions)
    except RegistryError as exc:
        return Check("models", f"{fleet} in MLflow", "warning", f"not compared: {exc}", "see the registry's checks")
    lost = len(compared.digests) - len(expected)
    if lost and not changed:
        state = f"{lost:,} of {len(compared.digests):,} models in force are not in MLflow"
        way_out = f"scoring does not need them; restore them: myriad registry sync {fleet}"
        return Check("models", f"{fleet} in MLflow", "warning", state, way_out)
    return _check(fleet, "in MLflow", changed, done, len(expected))


def _check(fleet: str, place: str, changed: list[str], compared: int, total: int) -> Check:
    name = f"{fleet} {place}"
    if changed:
        more = f" and {len(changed) - _NAMED:,} more" if len(changed) > _NAMED else ""
        state = f"{len(changed):,} of {compared:,} graphs are not those that were trained: "
        way_out = f"they are not run; restore them: myriad registry sync {fleet}"
        return Check("models", name, "failed", state + ", ".join(changed[:_NAMED]) + more, way_out)
    state = f"{compared:,} graphs as trained"
    if compared < total:
        return Check("models", name, "ok", f"{state}, {total - compared:,} not compared within {_LIMIT_S:.0f} s")
    return Check("models", name, "ok", state)
