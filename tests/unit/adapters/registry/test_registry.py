"""Registry: the same contract by SQL in bulk and by MLflow's public API, on SQLite and files."""

import contextlib
import pickle
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from registry_store import BOTH, Open, client, entries, entry, fill, graph, live

import adapters.registry.sql_store as bulk
from adapters.registry import FINGERPRINT_TAG, Batch, ModelEntry, Registration, Registry
from domain.errors import RegistryError


@BOTH
def test_register_makes_one_version_a_fingerprint(opened: Open, mode: str) -> None:
    registry = opened(mode)
    assert registry.path == mode
    assert fill(registry, entries(3)) == [Registration(f"m3.n{number}", 1, True) for number in range(3)]
    assert fill(registry, entries(3)) == [Registration(f"m3.n{number}", 1, False) for number in range(3)]
    mixed = [replace(entry("m3.n1", "b2"), name="m3.n1"), *entries(1)]
    assert fill(registry, mixed, "k2") == [Registration("m3.n1", 2, True), Registration("m3.n0", 1, False)]
    assert registry.versions(["m3.n0", "m3.n1", "m3.none"]) == {"m3.n0": {"a1-0": 1}, "m3.n1": {"a1-1": 1, "b2": 2}}
    assert fill(registry, [], "k3") == []


@BOTH
def test_version_continues_after_versions_of_others(opened: Open, mode: str) -> None:
    registry = opened(mode)
    other = client(registry)
    other.create_registered_model("m3.n0", description="by hand")
    other.create_registered_model("m3.n1")
    for _ in range(2):
        other.create_model_version("m3.n1", "/somewhere/else")
    assert [made.version for made in fill(registry, entries(2))] == [1, 3]
    assert other.get_registered_model("m3.n0").description == "by hand"
    assert registry.versions(["m3.n1"]) == {"m3.n1": {"a1-1": 3}}


@BOTH
def test_deleted_version_is_neither_reused_nor_renumbered(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(1))
    client(registry).delete_model_version("m3.n0", "1")
    assert registry.versions(["m3.n0"]) == {}
    assert fill(registry, entries(1)) == [Registration("m3.n0", 2, True)]


@BOTH
def test_retry_with_new_rows_keeps_the_files_of_the_version_before(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, [entry("m3.n0", "a", 2.0)])
    fill(registry, [entry("m3.n0", "b", 5.0)])
    sources = [client(registry).get_model_version("m3.n0", number).source for number in ("1", "2")]
    assert [(Path(source) / "model.onnx").read_bytes() for source in sources] == [graph([2.0, 1.0]), graph([5.0, 1.0])]


@BOTH
def test_names_and_tags_survive_as_given_and_long_values_are_cut(opened: Open, mode: str) -> None:
    registry = opened(mode)
    given = entry("oj.store-2.brand_5-00c0ffee")
    given = replace(given, tags={**given.tags, "long": "x" * 6000}, description="y" * 6000)
    fill(registry, [given])
    found = client(registry).get_model_version(given.name, "1")
    assert found.tags["note"] == "Größe ≤ 5 – ✓"
    assert found.tags["long"] == "x" * 4999 + "…"
    assert len(found.description) == 5000
    assert found.tags[FINGERPRINT_TAG] == "a1"


@BOTH
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([entry("m3.n0"), entry("m3.n0")], "two entries"),
        ([entry("m3/n0")], "not a model name"),
        ([entry("..")], "not a model name"),
        ([entry("m3.n0", "")], "fingerprint has 1 to 250"),
        ([replace(entry("m3.n0"), tags={"k" * 251: "v"})], "1 to 250 allowed"),
        ([replace(entry("m3.n0"), tags={FINGERPRINT_TAG: "v"})], "leave it out"),
        ([replace(entry("m3.n0"), tags={"a;b": "v"})], "a;b"),
        ([replace(entry("m3.n0"), onnx=b"\xff\xff not a graph")], "not an ONNX graph"),
    ],
)
def test_impossible_entries_are_refused_by_name(opened: Open, mode: str, batch: list[ModelEntry], message: str) -> None:
    registry = opened(mode)
    with pytest.raises(RegistryError, match=message):
        fill(registry, batch)
    assert live(registry) == []


@BOTH
def test_alias_is_set_moved_and_deleted_once(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(3))
    fill(registry, [entry("m3.n0", "b")])
    assert registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 1}) == 2
    assert registry.set_alias("champion", {"m3.n0": 2, "m3.n1": 1, "m3.n2": 1}) == 2
    assert registry.set_alias("champion", {"m3.n0": 2, "m3.n1": 1, "m3.n2": 1}) == 0
    assert client(registry).get_model_version_by_alias("m3.n0", "champion").version == 2
    with pytest.raises(RegistryError, match=r"m3\.n2"):
        registry.set_alias("champion", {"m3.n2": 9})
    with pytest.raises(RegistryError, match="reserved"):
        registry.set_alias("latest", {"m3.n2": 1})
    assert registry.delete_alias("champion", ["m3.n0", "m3.n2", "m3.unknown"]) == 2
    assert registry.delete_alias("champion", ["m3.n0"]) == 0
    assert client(registry).get_registered_model("m3.n1").aliases == {"champion": 1}


@BOTH
def test_stored_versions_and_aliases_of_a_fleet_are_listed(opened: Open, mode: str) -> None:
    registry = opened(mode)
    fill(registry, entries(2))
    fill(registry, [entry("m3.n0", "b"), replace(entry("x.n9"), model_tags={"myriad.fleet": "x"})], "k2")
    other = client(registry)
    other.create_registered_model("m3.hand")
    other.create_model_version("m3.hand", "/elsewhere")
    other.create_model_version("m3.n0", "/elsewhere")
    fill(registry, [entry("m3.n1", "gone")], "k3")
    other.delete_model_version("m3.n1", "2")
    found = registry.stored(["m3.n1", "m3.n0", "m3.hand", "m3.none"])
    assert [(one.name, one.version, one.fingerprint) for one in found] == [
        ("m3.n0", 1, "a1-0"),
        ("m3.n0", 2, "b"),
        ("m3.n1", 1, "a1-1"),
    ]
    shown = other.get_model_version("m3.n0", "2")
    assert (found[1].source, found[1].run_id, found[1].made_ms) == (
        *(shown.source, shown.run_id),
        shown.creation_timestamp,
    )
    for name, version in (("m3.n0", "2"), ("m3.hand", "1"), ("x.n9", "1")):
        other.set_registered_model_alias(name, "champion", version)
    other.set_registered_model_alias("m3.n1", "other", "1")
    assert registry.aliases("champion", "m3", []) == {"m3.n0": 2}
    assert registry.aliases("champion", "m3", ["m3.hand", "m3.n1", "m3.none"]) == {"m3.n0": 2, "m3.hand": 1}


def test_both_paths_leave_the_same_rows_and_answers(opened: Open, tmp_path: Path) -> None:
    answers = []
    for mode in ("bulk", "api"):
        registry = opened(mode, mode)
        client(registry).create_registered_model("m3.n2", {"owner": "somebody"}, "older")
        fill(registry, entries(4))
        fill(registry, [entry("m3.n1", "b"), *entries(1)], "k2")
        registry.set_alias("champion", {"m3.n0": 1, "m3.n1": 2, "m3.n2": 1})
        registry.set_alias("champion", {"m3.n1": 1})
        registry.delete_alias("champion", ["m3.n2"])
        answers.append((rows(tmp_path / f"{mode}.db"), client_answers(registry)))
    assert answers[0][0] == answers[1][0]
    assert answers[0][1] == answers[1][1]
    assert [len(table) for table in answers[0][0].values()] == [4, 4, 2, 5, 20]


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every registry row, without times, and with run ids and digests of files reduced to their kind."""
    found = {}
    with contextlib.closing(sqlite3.connect(path)) as base:
        for table in bulk._COLUMNS:
            names = [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
            kept = [name for name in names if not name.endswith("_time")]
            query = f"SELECT {', '.join(kept)} FROM {table} ORDER BY {', '.join(kept)}"
            found[table] = [tuple(map(comparable, kept, row)) for row in base.execute(query)]
            untimed = [name for name in names if name.endswith("_time")]
            for name in untimed:
                assert not base.execute(f"SELECT 1 FROM {table} WHERE {name} IS NULL").fetchall()
    return found


def comparable(column: str, value: object) -> object:
    if column in ("source", "storage_location"):
        return Path(str(value)).name
    return len(str(value)) if column == "run_id" else value


def client_answers(registry: Registry) -> list[object]:
    """What any client asks a registry, as plain values."""
    seen = client(registry)
    models = [seen.get_registered_model(f"m3.n{number}") for number in range(4)]
    tagged = seen.search_registered_models("tags.`myriad.fleet` = 'm3'")
    ridges = seen.search_model_versions("tags.candidate = 'ridge' AND name = 'm3.n1'")
    newest = [model.latest_versions for model in models]
    alias = seen.get_model_version_by_alias("m3.n1", "champion")
    return [
        [(model.name, model.description, dict(model.tags), dict(model.aliases)) for model in models],
        sorted(model.name for model in tagged),
        sorted((version.version, sorted(version.tags.items())) for version in ridges),
        [
            [(version.version, version.status, version.current_stage, version.aliases) for version in of]
            for of in newest
        ],
        (alias.version, alias.description, alias.aliases, alias.run_link, alias.user_id),
    ]


@BOTH
def test_buckets_are_registered_in_order_and_no_version_points_at_nothing(opened: Open, mode: str) -> None:
    """The files of one bucket are written while the versions of the one before are made."""
    registry = opened(mode)
    parent = registry.start_training("m3", "k", {})
    batches = [
        Batch(bucket, [entry(f"m3.b{bucket}n{n}", f"{bucket}{n}") for n in range(3)], {"models": 3.0})
        for bucket in range(4)
    ]
    seen = []
    for batch, made in registry.register_buckets(parent, iter(batches)):
        seen.append(batch.bucket)
        assert [one.name for one in made] == [item.name for item in batch.entries]
        for version in client(registry).search_model_versions():
            assert (Path(version.source) / "MLmodel").stat().st_size > 0
            assert (Path(version.source) / "model.onnx").stat().st_size > 0
    assert seen == [0, 1, 2, 3]
    assert len(live(registry)) == 12
    again = list(registry.register_buckets(parent, batches))
    assert not any(one.created for _, made in again for one in made)
    children = client(registry).search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert sorted(run.data.tags["myriad.bucket"] for run in children) == ["0", "1", "2", "3"]
    assert {run.info.status for run in children} == {"FINISHED"}


@BOTH
def test_a_bucket_that_fails_leaves_those_before_it_and_is_made_up_for(opened: Open, mode: str) -> None:
    registry = opened(mode)
    parent = registry.start_training("m3", "k", {})
    good, bad = Batch(0, [entry("m3.a")], {}), Batch(1, [entry("m3.b"), entry("m3.b")], {})
    answers = registry.register_buckets(parent, [good, bad, Batch(2, [entry("m3.c")], {})])
    with pytest.raises(RegistryError, match="two entries in one bucket"):
        list(answers)
    mended = [good, Batch(1, [entry("m3.b")], {}), Batch(2, [entry("m3.c")], {})]
    assert len([one for _, made in registry.register_buckets(parent, mended) for one in made]) == 3
    assert [name for name, _ in live(registry)] == ["m3.a", "m3.b", "m3.c"]
    # Whoever stops taking results leaves the rest undone, and nothing that hangs.
    more = registry.register_buckets(parent, [Batch(3, [entry("m3.d")], {}), Batch(4, [entry("m3.e")], {})])
    next(more)
    more.close()  # type: ignore[attr-defined]
    assert "m3.d" in [name for name, _ in live(registry)]


def test_making_a_registry_does_nothing_and_shows_no_password() -> None:
    registry = Registry("postgresql://user:secret@nowhere.invalid/mlflow", "s3://models")
    assert "secret" not in repr(registry)
    assert pickle.loads(pickle.dumps(registry)).tracking_uri == registry.tracking_uri


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "nosuchdb+driver://user:secret@host/mlflow"])
def test_unreachable_store_is_a_registry_error(uri: str) -> None:
    with pytest.raises(RegistryError, match="cannot open") as caught:
        Registry(uri).versions([])
    assert "secret" not in str(caught.value)
