"""Artifacts: files of models, written, shared, lost and put back."""

from dataclasses import replace
from pathlib import Path

import pytest
from registry_store import BOTH, Open, entries, entry, fill, live, lost_files_come_back, registered

from domain.errors import RegistryError


@BOTH
def test_lost_files_are_found_and_put_back(opened: Open, mode: str, tmp_path: Path) -> None:
    lost_files_come_back(opened(mode), tmp_path)


def test_a_graph_that_is_not_what_its_tag_says_is_refused(opened: Open) -> None:
    registry = opened("bulk")
    fill(registry, [replace(entry("m3.n0"), tags={"sha256": "0" * 64})])
    with pytest.raises(RegistryError, match=r"m3\.n0' version 1: the graph at .* has SHA-256 [0-9a-f]{64}, its tag"):
        registry.fetch(registry.stored(["m3.n0"])[0])


def test_files_that_cannot_be_written_are_an_error_and_make_no_version(opened: Open, tmp_path: Path) -> None:
    registry = opened("bulk")
    parent = registry.start_training("m3", "k", {})
    (tmp_path / "mlflow").mkdir(exist_ok=True)
    (tmp_path / "mlflow" / "artifacts").write_text("no folder")
    with pytest.raises(RegistryError, match="cannot store 2 models"):
        registered(registry, parent, 0, entries(2), {})
    assert live(registry) == []


def test_models_of_a_bucket_share_the_files_of_their_environment(opened: Open, tmp_path: Path) -> None:
    registry = opened("bulk")
    fill(registry, entries(3))
    for name, links in (("requirements.txt", 3), ("python_env.yaml", 3), ("MLmodel", 1), ("model.onnx", 1)):
        paths = list((tmp_path / "mlflow").rglob(name))
        assert len(paths) == 3
        assert {path.stat().st_nlink for path in paths} == {links}
        assert all(path.stat().st_size for path in paths)


def test_without_links_every_file_is_written(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    fill(opened("bulk"), entries(2))
    paths = list((tmp_path / "mlflow").rglob("requirements.txt"))
    assert [path.stat().st_nlink for path in paths] == [1, 1]
    assert len({path.read_bytes() for path in paths}) == 1
