from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pytest
import yaml

from adapters.sources.simulated import simulate_fleet, write_simulation
from domain.config.fleet import parse_fleet
from domain.data.simulation import SimulationSpec, simulate
from domain.errors import SourceError

SPEC = SimulationSpec(stores=12, weeks=40, horizon=5, short_share=0.2, unseen_share=0.1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_files_hold_the_simulation_whatever_their_number(tmp_path, form):
    expected = next(simulate(SPEC))
    for files in (1, 5):
        folder = tmp_path / str(files)
        written = write_simulation(SPEC, folder, files, form)
        assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
        assert len(written) == 3 * files + 1
        for part in ("sales", "future", "actuals"):
            rows = ds.dataset(folder / part, format=form).to_table().to_pandas()
            table = getattr(expected, part).to_pandas()
            assert rows.astype(str).equals(table.astype(dict(rows.dtypes)).astype(str))


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_same_call_gives_the_same_bytes_and_leaves_no_older_part(tmp_path, form):
    write_simulation(SPEC, tmp_path, 4, "csv")
    write_simulation(SPEC, tmp_path, 2, form)
    first = contents(tmp_path)
    assert len(first) == 7
    write_simulation(SPEC, tmp_path, 2, form)
    assert contents(tmp_path) == first


def test_fleet_file_is_valid_and_names_the_files(tmp_path):
    written = write_simulation(SPEC, tmp_path)
    fleet = parse_fleet(yaml.safe_load((tmp_path / "fleet.yaml").read_text()), "fleet.yaml")
    assert (fleet.name, fleet.steps, fleet.segment_by) == ("simulated", 5, ["store", "brand"])
    assert (fleet.target.transform, fleet.target.minimum, fleet.combine) == ("log1p", 0.0, True)
    assert [candidate.name for candidate in fleet.candidates] == ["seasonal_naive", "theta", "ridge"]
    for source, part in ((fleet.source, "sales"), (fleet.score.source, "future"), (fleet.test.source, "actuals")):
        pattern = Path(source.path)
        assert list(pattern.parent.glob(pattern.name)) == [path for path in written if path.parent.name == part]
    header = ds.dataset(tmp_path / "sales").schema.names
    assert set(fleet.columns) | {fleet.time.column} <= set(header)


def test_unparsable_numbers_reach_a_csv_and_are_refused_in_parquet(tmp_path):
    dirty = SimulationSpec(stores=20, unparsable_share=0.1)
    with pytest.raises(SourceError, match="format csv"):
        write_simulation(dirty, tmp_path)
    assert not list(tmp_path.iterdir())
    write_simulation(dirty, tmp_path, format="csv")
    units = pacsv.read_csv(tmp_path / "sales" / "part-00000.csv")["units"].to_pylist()
    assert "12,5 ?" in units
    assert any(unit.isdigit() for unit in units)


def test_more_files_than_segments_are_refused(tmp_path):
    with pytest.raises(SourceError, match="files: 37 is not allowed; give 1 to 36"):
        write_simulation(SPEC, tmp_path, 37)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="file/big: cannot be written: Not a directory; name another folder"):
        simulate_fleet(tmp_path / "file/big", 3, None, "parquet", {}, {})
