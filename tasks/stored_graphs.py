"""Find graphs in the lake that have changed since training, and restore them from intact copies."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from adapters.registry import Registry, StoredVersion
from domain.data.graph_digest import graph_failure
from domain.data.tables import CHALLENGERS, CHAMPIONS
from domain.errors import RegistryError
from tasks.context import Run
from tasks.workers.stored_graphs import DamagedFile, DamagedGraph, damaged_files, intact_copies, repaired_file

__all__ = ["ChangedGraphs", "changed_graphs", "restore_graphs"]


@dataclass(frozen=True)
class ChangedGraphs:
    """Files with damaged graphs, and the intact copies of those graphs by digest."""

    files: tuple[DamagedFile, ...]
    copies: Mapping[str, bytes]

    @property
    def restorable(self) -> list[str]:
        """Sorted names of the models with an intact copy."""
        return sorted({_label(graph) for file in self.files for graph in file.graphs if graph.sha256 in self.copies})

    @property
    def lost(self) -> list[str]:
        """Sorted names of the models without an intact copy."""
        return sorted(
            {_label(graph) for file in self.files for graph in file.graphs if graph.sha256 not in self.copies}
        )


def changed_graphs(run: Run, registry: Registry, stored: Mapping[tuple[str, str], StoredVersion]) -> ChangedGraphs:
    """Compare every graph of champions and challengers with its digest; look for intact copies of changed graphs.

    A copy comes from another release or table of the lake, else from the registry's files, and must have the digest.
    stored : versions by model name and fingerprint.
    """
    committed = [file for spec in (CHAMPIONS, CHALLENGERS) for file in run.table(spec).files()]
    buckets = sorted({int(file.partition["bucket"]) for file in committed})
    results = run.workers.map("compare graphs", partial(damaged_files, run.context), buckets)
    damaged = dict(zip(buckets, results, strict=True))
    copies: dict[str, bytes] = {}
    for bucket, files in damaged.items():
        graphs = {graph.sha256: graph for file in files for graph in file.graphs if graph.sha256}
        if graphs:
            copies |= intact_copies(run.context, bucket, frozenset(graphs))
        for digest in graphs.keys() - copies.keys():
            copies |= _registered_copy(registry, graphs[digest], stored)
    return ChangedGraphs(tuple(file for files in results for file in files), copies)


def restore_graphs(run: Run, changed: ChangedGraphs) -> None:
    """Commit the files again with intact graphs; their releases keep their numbers."""
    restorable: dict[str, list[DamagedFile]] = defaultdict(list)
    for damaged in changed.files:
        if any(graph.sha256 in changed.copies for graph in damaged.graphs):
            restorable[damaged.table].append(damaged)
    for files in restorable.values():
        _replace(run, files, changed.copies)


def _replace(run: Run, files: Sequence[DamagedFile], copies: Mapping[str, bytes]) -> None:
    """Replace files of one table, or commit nothing if one of them is gone by then."""
    table = run.table(files[0].spec)
    based_on = table.version()
    staged = [repaired_file(run.context, damaged, copies) for damaged in files]
    paths = {damaged.file.path for damaged in files}
    note = {"run_id": run.context.run_id}
    table.replace(staged, lambda file: file.path in paths, based_on=based_on, note=note)


def _registered_copy(
    registry: Registry, graph: DamagedGraph, stored: Mapping[tuple[str, str], StoredVersion]
) -> dict[str, bytes]:
    """Return the registry's copy by digest; empty if there is none or it is not intact either."""
    version = stored.get((graph.model_name, graph.fingerprint))
    if version is None:
        return {}
    try:
        onnx = registry.fetch(version).onnx
    except RegistryError:
        return {}
    return {} if graph_failure(onnx, graph.sha256) else {graph.sha256: onnx}


def _label(graph: DamagedGraph) -> str:
    return f"{graph.model_name} of {graph.segment}"
