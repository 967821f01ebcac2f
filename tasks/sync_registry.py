"""Repair versions, files and aliases of the registry from the lake; the lake follows new version numbers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from adapters.compute.progress import Progress, emit
from adapters.registry import Batch, Registry, StoredVersion
from domain.data.graph_digest import graph_failure
from domain.data.model_record import ModelRecord
from domain.data.tables import CHALLENGERS, CHAMPIONS, REGISTRATIONS
from models.promotion.releases import Difference, DifferenceKind, SyncSummary
from tasks.context import Run
from tasks.registry_entries import model_entry
from tasks.releases import ALIAS, champion_rows, of_current, revise_release
from tasks.stored_graphs import changed_graphs, restore_graphs
from tasks.workers.release import renumbering
from tasks.workers.run_context import in_bucket

__all__ = ["sync_registry"]

Key = tuple[str, str]
"""Model name and fingerprint, which identify a model under any version number of the registry."""
_NAMED = 20


@dataclass(frozen=True)
class _Model:
    """A model of the lake that the registry must have. version : the newest number in the lake, 0 for none."""

    segment: str
    name: str
    fingerprint: str
    version: int
    bucket: int
    sha256: str

    @property
    def key(self) -> Key:
        return self.name, self.fingerprint

    @property
    def label(self) -> str:
        return f"{self.name} {self.version or '(new)'}"


def sync_registry(run: Run, registry: Registry, dry_run: bool = False) -> SyncSummary:
    """Repair the registry from the lake and return the differences; a repeated call completes an interrupted one.

    The registry must have the models of all kept releases and all challengers, with their files. A lost version is
    registered again, under its old number if the registry allows it. If a number changes, the registrations follow, and
    the release in force by a new release; older releases keep the numbers under which predictions were made, and get
    new ones when they are restored. Aliases come last. dry_run : change nothing.

    Graphs are compared with their digests on both sides, and a changed one is restored from the other side. Only
    trained graphs are registered: if no intact copy exists, the model is reported and left as it is.
    """
    champions = champion_rows(run, ["segment", "model_name", "model_version", "fingerprint", "bucket", "sha256"])
    challengers = _challengers(run)
    models = _required_models(champions, challengers)
    names = sorted({model.name for model in models.values()})
    stored = _first(registry.stored(names))
    missing = [model for key, model in models.items() if key not in stored]
    lost = registry.incomplete([stored[key] for key in models if key in stored])
    complete = stored.keys() - {(version.name, version.fingerprint) for version in lost}
    altered = registry.altered({stored[key]: model.sha256 for key, model in models.items() if key in complete})
    graphs = changed_graphs(run, registry, stored)
    versions = {key: version.version for key, version in stored.items()}
    if not dry_run:
        restore_graphs(run, graphs)
        versions |= _register(run, registry, missing)
        _put_back(run, registry, [*lost, *altered], models)
    changed = _correct_registrations(run, challengers, versions, dry_run)
    in_force = of_current(champions)
    release, renumbered = _correct_release(run, in_force, versions, dry_run)
    wrong, stray = _correct_aliases(run, registry, in_force, versions, dry_run)
    differences = (
        _difference("changed_graphs", graphs.restorable),
        _difference("lost_graphs", graphs.lost),
        _difference("missing_versions", [model.label for model in missing]),
        _difference("missing_files", [f"{version.name} {version.version}" for version in lost]),
        _difference("changed_files", [f"{version.name} {version.version}" for version in altered]),
        _difference("changed_numbers", sorted({*changed, *renumbered})),
        _difference("wrong_aliases", wrong),
        _difference("stray_aliases", stray),
    )
    return SyncSummary(
        run.fleet.name,
        len(models),
        release or None,
        dry_run,
        tuple(difference for difference in differences if difference.count),
    )


def _difference(kind: DifferenceKind, names: Sequence[str]) -> Difference:
    return Difference(kind, len(names), tuple(names[:_NAMED]))


def _challengers(run: Run) -> list[dict[str, Any]]:
    """Return the challengers, each with its number in `registrations`, or None."""
    known = run.table(REGISTRATIONS).read(["segment", "fingerprint", "model_version"]).to_pylist()
    numbers = {(row["segment"], row["fingerprint"]): row["model_version"] for row in known}
    rows = run.table(CHALLENGERS).read(["segment", "model_name", "fingerprint", "bucket", "sha256"]).to_pylist()
    return [{**row, "model_version": numbers.get((row["segment"], row["fingerprint"]))} for row in rows]


def _required_models(
    champions: Sequence[Mapping[str, Any]], challengers: Sequence[Mapping[str, Any]]
) -> dict[Key, _Model]:
    """Return every model once, ordered by name and former number."""
    models: dict[Key, _Model] = {}
    for row in [*sorted(champions, key=lambda row: row["release"]), *challengers]:
        key = (row["model_name"], row["fingerprint"])
        number = row["model_version"] or (models[key].version if key in models else 0)
        models[key] = _Model(row["segment"], *key, number, row["bucket"], row["sha256"] or "")
    # A model without a number is newer than all that have one.
    return dict(sorted(models.items(), key=lambda item: (item[1].name, item[1].version or float("inf"))))


def _first(stored: Sequence[StoredVersion]) -> dict[Key, StoredVersion]:
    """Return the lowest version of each model."""
    return {(version.name, version.fingerprint): version for version in reversed(stored)}


def _records(run: Run, models: Sequence[_Model]) -> Iterator[tuple[int, dict[Key, ModelRecord]]]:
    """Yield the stored models in full, bucket by bucket, without those whose graph has changed since training."""
    by_bucket: dict[int, list[_Model]] = defaultdict(list)
    for model in models:
        by_bucket[model.bucket].append(model)
    for done, (bucket, of_bucket) in enumerate(sorted(by_bucket.items()), start=1):
        same = ds.field("fingerprint").isin([model.fingerprint for model in of_bucket])
        keys, records = {model.key for model in of_bucket}, {}
        for spec in (CHAMPIONS, CHALLENGERS):
            for row in run.table(spec).read(where=in_bucket(bucket), rows=same).to_pylist():
                key = (row["model_name"], row["fingerprint"])
                if key in keys and key not in records and not graph_failure(row["onnx"], row["sha256"]):
                    records[key] = ModelRecord.from_row(row)
        yield bucket, records
        emit(Progress("registry", done, len(by_bucket)))


def _register(run: Run, registry: Registry, missing: Sequence[_Model]) -> dict[Key, int]:
    """Register the models again, oldest first; return the present version of each."""
    if not missing:
        return {}
    tags = {"myriad.run_id": run.context.run_id, "myriad.purpose": "registry sync"}
    parent = registry.start_training(run.fleet.name, run.context.run_id, tags)
    numbers = {model.key: model.version for model in missing}
    made: dict[Key, int] = {}

    def batches() -> Iterator[Batch]:
        for bucket, records in _records(run, missing):
            for keys in _rounds([key for key in numbers if key in records]):
                entries = [model_entry(run.fleet, records[key], numbers[key]) for key in keys]
                yield Batch(bucket, entries, {"models": float(len(records))})

    for batch, registrations in registry.register_buckets(parent, batches()):
        pairs = zip(batch.entries, registrations, strict=True)
        made |= {(entry.name, entry.fingerprint): registration.version for entry, registration in pairs}
    registry.finish_training(parent, {"created": float(len(made))})
    return made


def _rounds(keys: Sequence[Key]) -> Iterator[list[Key]]:
    """Yield the keys in their order in rounds, each name at most once per round."""
    rounds: list[list[Key]] = []
    counts: dict[str, int] = defaultdict(int)
    for key in keys:
        if counts[key[0]] == len(rounds):
            rounds.append([])
        rounds[counts[key[0]]].append(key)
        counts[key[0]] += 1
    yield from rounds


def _put_back(run: Run, registry: Registry, lost: Sequence[StoredVersion], models: Mapping[Key, _Model]) -> None:
    """Write the files of registered versions again."""
    stored = {(version.name, version.fingerprint): version for version in lost}
    for _, records in _records(run, [models[key] for key in stored]):
        registry.put_back([(stored[key], model_entry(run.fleet, record)) for key, record in records.items()])


def _correct_registrations(
    run: Run, challengers: Sequence[Mapping[str, Any]], versions: Mapping[Key, int], dry_run: bool
) -> list[str]:
    """Rewrite the registrations of each bucket in which a number changed; return the names of changed models."""
    changed: list[str] = []
    rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
    stale: set[int] = set()
    for row in challengers:
        version = versions.get((row["model_name"], row["fingerprint"]))
        if version is not None:
            rows[row["bucket"]].append({**row, "model_version": version})
            if row["model_version"] != version:
                changed.append(_renumbered(row, version))
                stale.add(row["bucket"])
    if stale and not dry_run:
        table = run.table(REGISTRATIONS)
        schema = table.spec.file_schema
        staged = [table.stage(pa.Table.from_pylist(rows[bucket], schema), bucket=bucket) for bucket in sorted(stale)]
        note = {"run_id": run.context.run_id}
        table.replace(staged, lambda file: int(file.partition["bucket"]) in stale, note=note)
    return changed


def _correct_release(
    run: Run, in_force: Sequence[Mapping[str, Any]], versions: Mapping[Key, int], dry_run: bool
) -> tuple[int, list[str]]:
    """Commit the next release if a champion's number changed; return the release in force, and the changed names."""
    current = int(in_force[0]["release"]) if in_force else 0
    changed: list[str] = []
    numbers: dict[int, dict[Key, int]] = defaultdict(dict)
    for row in in_force:
        key = (row["model_name"], row["fingerprint"])
        if versions.get(key, row["model_version"]) != row["model_version"]:
            numbers[row["bucket"]][key] = versions[key]
            changed.append(_renumbered(row, versions[key]))
    if changed and not dry_run:
        changes = {bucket: renumbering(of_bucket) for bucket, of_bucket in numbers.items()}
        current = revise_release(run, current, current, changes)
    return current, changed


def _renumbered(row: Mapping[str, Any], version: int) -> str:
    return f"{row['model_name']} {row['model_version'] or '(none)'} -> {version}"


def _correct_aliases(
    run: Run, registry: Registry, in_force: Sequence[Mapping[str, Any]], versions: Mapping[Key, int], dry_run: bool
) -> tuple[list[str], list[str]]:
    """Point the aliases at the release in force; return the names of wrong ones, and of models outside the release.

    Without a release nothing changes: an empty lake must not take the aliases of another one.
    """
    if not in_force:
        return [], []
    numbers = {row["model_name"]: versions.get((row["model_name"], row["fingerprint"])) for row in in_force}
    pointed = registry.aliases(ALIAS, run.fleet.name, list(numbers))
    wrong = sorted(name for name, version in numbers.items() if version is None or pointed.get(name) != version)
    stray = sorted(set(pointed) - set(numbers))
    if not dry_run:
        if wrong:
            registry.set_alias(ALIAS, {name: version for name in wrong if (version := numbers[name]) is not None})
        if stray:
            registry.delete_alias(ALIAS, stray)
    return wrong, stray
