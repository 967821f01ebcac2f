"""Fleet files on disk, as a ConfigMap lays them, too."""

import pytest

from adapters.sources.fleet_files import load_fleet
from domain.errors import FleetError

TEXT = """\
name: shop
task: forecast
source: {path: in}
segment_by: [store]
time: {column: day, frequency: D}
target: {column: units}
horizon: %d
candidates: [seasonal_naive]
"""


def test_a_mounted_config_map_is_read_and_read_anew_once_it_has_changed(tmp_path):
    """Kubernetes lays a link `..data` to a folder of the version, and a link to it for each file."""
    fleets = tmp_path / "fleets"
    for version, horizon in enumerate((3, 5)):
        folder = fleets / f"..2026_01_0{version}"
        folder.mkdir(parents=True)
        (folder / "shop.yaml").write_text(TEXT % horizon)
        link = fleets / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(fleets / "..data")
        if not version:
            (fleets / "shop.yaml").symlink_to("..data/shop.yaml")
        assert load_fleet("shop", tmp_path).horizon == horizon
    assert [path.name for path in fleets.glob("*.yaml")] == ["shop.yaml"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FleetError, match=r"fleets/shop.yaml: cannot be read: No such file"):
        load_fleet("shop", tmp_path)
