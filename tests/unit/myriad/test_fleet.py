"""A fleet in Python reads what the commands read, and refuses with the errors of the domain."""

import json
import re

import pandas as pd
import pytest
import yaml
from shop import sales, shop

import myriad
from domain.errors import FleetError, LakeError, RequestError, SettingsError, SourceError, UnknownNameError
from tasks.score import score_fleet


@pytest.fixture
def home(trained):
    """The shop's folder with its fleet file, scored with the first release."""
    score_fleet(trained.run())
    (trained.folder / "fleets").mkdir()
    content = shop().model_dump(mode="json", exclude_defaults=True)
    (trained.folder / "fleets" / "shop.yaml").write_text(json.dumps(content))
    return trained.folder


@pytest.fixture
def fleet(home):
    return myriad.Fleet("shop", home=home, lake=home / "lake", progress=False)


def test_a_fleet_is_known_by_file_name_and_content(home):
    content = yaml.safe_load((home / "fleets/shop.yaml").read_text())
    by_path = myriad.Fleet(home / "fleets" / "shop.yaml", home=home)
    assert {by_path.name, myriad.Fleet("fleets/shop.yaml", home=home).name, myriad.Fleet(content, home=home).name} == {
        "shop"
    }


def test_the_home_is_that_of_the_environment_or_the_current_folder(home, monkeypatch, tmp_path):
    monkeypatch.setenv("MYRIAD_HOME", str(home))
    assert myriad.Fleet("shop").name == "shop"
    monkeypatch.delenv("MYRIAD_HOME")
    monkeypatch.chdir(home)
    assert myriad.Fleet("shop").home.settings.home == home.resolve()
    with pytest.raises(SettingsError, match="not a folder"):
        myriad.Fleet("shop", home=tmp_path / "nowhere")


def test_forecasts_are_frames_with_the_columns_of_the_segments(fleet):
    frame = fleet.forecasts()
    assert isinstance(frame, pd.DataFrame)
    assert {"store", "brand", "time", "prediction", "lower", "upper"} <= set(frame.columns)
    of_one = fleet.forecasts(segment={"store": 1, "brand": "amber"})
    assert len(of_one) == 4
    assert set(of_one["segment"]) == {"store=1/brand=amber"}
    assert fleet.predictions(as_="arrow").num_rows >= len(frame)
    assert "trained" in set(fleet.outcomes()["outcome"])


@pytest.mark.parametrize("segment", ["store=1/brand=amber", "1/amber", (1, "amber"), {"store": 1, "brand": "amber"}])
def test_a_segment_is_named_in_several_ways(fleet, segment):
    explanation = fleet.explain(segment)
    assert explanation.segment == "store=1/brand=amber"
    assert explanation.champion.model.candidate in explanation._repr_html_()
    assert "champion" in repr(explanation)


def test_a_prediction_is_traced_to_its_files(fleet):
    time = fleet.forecasts(segment="1/amber")["time"].iloc[0]
    lineage = fleet.trace("1/amber", time=time)
    assert "a.csv" in lineage._repr_html_()
    with pytest.raises(RequestError, match="give the time of the prediction"):
        fleet.trace("1/amber")


def test_the_plot_is_a_picture_on_its_own(fleet, tmp_path):
    chart = fleet.plot("1/amber")
    svg = chart._repr_svg_()
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    body = svg.partition("</style>")[2]
    names = {name for names in re.findall(r'class="([^"]+)"', body) for name in names.split()} - {"hit"}
    style = svg.partition("</style>")[0]
    assert not {name for name in names if f".{name}" not in style}
    assert not re.search(r"(^|[\s,}])svg[ .]", style.partition("<style>")[2])
    chart.save(tmp_path / "chart.svg")
    assert (tmp_path / "chart.svg").read_text() == svg


def test_status_and_check_show_what_the_commands_show(fleet):
    status = fleet.status()
    assert status.release.number == 1
    assert "release" in status._repr_html_()
    check = fleet.check()
    assert not check.errors
    assert "segments" in check._repr_html_()
    assert "segments" in repr(check)
    assert "sales/*.csv" in fleet._repr_html_()


def test_names_from_data_are_escaped_in_pages(home):
    content = shop().model_dump(mode="json", exclude_defaults=True) | {"description": "<script>alert(1)</script>"}
    assert "<script>" not in myriad.Fleet(content, home=home)._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fleet: fleet.forecasts(as_="numpy"), RequestError, "choose one of pandas"),
        (lambda fleet: fleet.table("nothing"), RequestError, "choose one of predictions"),
        (lambda fleet: fleet.explain("1/ambre"), UnknownNameError, "closest: store=1/brand=amber"),
        (lambda fleet: fleet.forecasts(release=9), LakeError, "no row of release 9"),
        (lambda fleet: fleet.accuracy("store"), RequestError, "choose step, segment or release"),
        (lambda fleet: fleet.score(first="2024-01"), RequestError, "both first and last"),
        (lambda fleet: fleet.score(first="2024", last="2025", inputs=["a"]), RequestError, "single job"),
        (lambda fleet: fleet.report(), UnknownNameError, "no report yet"),
    ],
)
def test_mistakes_are_errors_of_the_domain(fleet, call, error, words):
    with pytest.raises(error, match=words) as caught:
        call(fleet)
    assert isinstance(caught.value, myriad.MyriadError)


def test_an_unknown_fleet_is_refused_with_the_closest(home):
    with pytest.raises(UnknownNameError, match="closest: shop"):
        myriad.Fleet("shp", home=home)


@pytest.fixture
def frame():
    return sales()[["week", "store", "brand", "units", "price"]]


def test_a_frame_becomes_a_fleet_that_says_what_was_found(tmp_path, frame, capsys):
    fleet = myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, horizon=3, partition={"buckets": 2})
    definition = fleet.home.fleet()
    assert (definition.horizon, definition.partition.buckets, definition.target.column) == (3, 2, "units")
    assert definition.segment_by == ["store", "brand"]
    assert "fleets/kiosk.yaml" in capsys.readouterr().out
    assert any(remark.startswith("target: units") for remark in fleet.remarks)
    assert (tmp_path / "data" / "frames" / "kiosk.parquet").is_file()


def test_the_same_call_again_takes_newer_rows_and_keeps_the_file(tmp_path, frame):
    options = {"home": tmp_path, "progress": False, "target": {"column": "units"}, "segment_by": ["store", "brand"]}
    myriad.Fleet.from_frame(frame.iloc[:-20], "kiosk", **options)
    written = (tmp_path / "fleets" / "kiosk.yaml").read_text()
    fleet = myriad.Fleet.from_frame(frame, "kiosk", **options)
    assert (tmp_path / "fleets" / "kiosk.yaml").read_text() == written
    assert fleet.check().sources[0].rows == len(frame)


def test_a_fleet_file_of_somebody_is_not_overwritten(tmp_path, frame):
    myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, progress=False)
    with pytest.raises(FleetError, match="overwrite=True"):
        myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, progress=False, horizon=2)
    assert myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, progress=False, horizon=2, overwrite=True)
    content = yaml.safe_load((tmp_path / "fleets" / "kiosk.yaml").read_text())
    (tmp_path / "fleets" / "kiosk.yaml").write_text(json.dumps(content | {"source": {"path": "data/own.csv"}}))
    with pytest.raises(FleetError, match="for other data"):
        myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, progress=False)


@pytest.mark.parametrize(("name", "error"), [("../kiosk", FleetError), ("Kiosk", FleetError)])
def test_a_name_is_no_path(tmp_path, frame, name, error):
    with pytest.raises(error, match="is not allowed"):
        myriad.Fleet.from_frame(frame, name, home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_section_that_is_wrong_is_named(tmp_path, frame):
    with pytest.raises(FleetError, match="horizon"):
        myriad.Fleet.from_frame(frame, "kiosk", home=tmp_path, backtest={"horizont": 3})
    with pytest.raises(SourceError, match="not a frame"):
        myriad.Fleet.from_frame("sales.csv", "kiosk", home=tmp_path)
