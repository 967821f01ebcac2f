"""The fleet file: what is accepted, and one clear error for everything else."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from adapters.sources.fleet_files import load_fleet
from domain.config.fleet import parse_fleet
from domain.errors import FleetError
from models.features.feature_spec import feature_spec_of
from models.training.fingerprints import settings_fingerprint

ROOT = Path(__file__).resolve().parents[4]
FORECAST = {
    "name": "shop",
    "task": "forecast",
    "source": {"path": "in"},
    "segment_by": ["store", "brand"],
    "time": {"column": "day", "frequency": "D"},
    "target": {"column": "units"},
    "horizon": 3,
    "candidates": ["seasonal_naive"],
}
REGRESSION = {
    "name": "rides",
    "task": "regression",
    "source": {"path": "in"},
    "segment_by": ["route"],
    "target": {"column": "minutes"},
    "features": {"known": ["distance"]},
    "candidates": ["ridge"],
}


def problems(content):
    with pytest.raises(FleetError) as caught:
        parse_fleet(content, "fleets/shop.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize("path", sorted((ROOT / "fleets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_fleet_is_valid_and_named_like_its_file(path):
    assert load_fleet(path.stem, ROOT).name == path.stem
    assert load_fleet(str(path), ROOT) == load_fleet(path.stem, ROOT)


def test_the_smallest_fleets_are_valid():
    fleet = parse_fleet(FORECAST, "here")
    assert (fleet.season, fleet.steps, fleet.clock.column) == (7, 3, "day")
    assert fleet.columns == ("store", "brand", "day", "units")
    rides = parse_fleet(REGRESSION, "here")
    assert (rides.season, rides.steps, rides.columns) == (1, 1, ("route", "distance", "minutes"))
    with pytest.raises(FleetError, match="fleet rides: time: is missing"):
        _ = rides.clock


def test_a_fleet_cannot_be_changed():
    with pytest.raises(ValidationError):
        parse_fleet(FORECAST, "here").horizon = 5


def test_a_season_of_its_own_is_used():
    time = {"column": "day", "frequency": "D", "season": 365}
    assert parse_fleet(FORECAST | {"time": time}, "here").season == 365


FORECAST_TIME = {"column": "day", "frequency": "D"}
FORECAST_CASES = [
    # unknown keys
    ({"horizn": 3}, "horizn: unknown key; did you mean `horizon`? allowed: aggregate, backtest, candidates, "),
    ({"int": 3}, "int: unknown key; allowed: aggregate, "),
    ({"target": {"column": "units", "transfrom": "log1p"}}, "target.transfrom: unknown key; did you mean `transform`?"),
    ({"fallback": [{"paren": "brand"}]}, "fallback.0.paren: unknown key; did you mean `parent`? allowed: parent"),
    ({"candidates": [{"name": "ridge", "alpha": 1}]}, "candidates.0.alpha: unknown key; "),
    # missing keys
    ({"source": {}}, "source.path: is missing; File, folder or glob"),
    ({"time": {"column": "day"}}, "time.frequency: is missing; Length of a period: 15min, "),
    # wrong types and values
    ({"name": "Shop"}, "name: 'Shop' is not allowed; string should match pattern "),
    ({"horizon": 0}, "horizon: 0 is not allowed; input should be greater than or equal to 1"),
    ({"horizon": "8"}, "horizon: '8' is not allowed; input should be a valid integer"),
    ({"horizon": 2.5}, "horizon: 2.5 is not allowed; "),
    ({"combine": "yes"}, "combine: 'yes' is not allowed; input should be a valid boolean"),
    ({"segment_by": []}, "segment_by: [] is not allowed; list should have at least 1 item"),
    ({"segment_by": "store"}, "segment_by: 'store' is not allowed; input should be a valid list"),
    ({"source": "in.csv"}, "source: 'in.csv' is not allowed; input should be a mapping"),
    ({"task": "clustering"}, "task: 'clustering' is not allowed; input should be 'forecast' or 'regression'"),
    (
        {"time": FORECAST_TIME | {"frequency": "7min"}},
        "time.frequency: '7min' is not allowed; allowed: 15min",
    ),
    ({"time": FORECAST_TIME | {"frequency": "weekly"}}, "time.frequency: 'weekly' is not allowed; allowed: 15min, "),
    ({"source": {"path": "a", "encoding": "utf-99"}}, "source.encoding: 'utf-99' is not allowed; give a text encoding"),
    ({"time": FORECAST_TIME | {"zone": "Berlin"}}, "time.zone: 'Berlin' is not allowed; give an IANA time zone"),
    (
        {"time": FORECAST_TIME | {"season": 0}},
        "time.season: 0 is not allowed; give `auto`, a number of periods from 1 to 2,016",
    ),
    ({"time": FORECAST_TIME | {"season": [7, 30]}}, "time.season: [7, 30] is not allowed; give `auto`, a number of"),
    ({"time": FORECAST_TIME | {"season": [7, 7]}}, "time.season: [7, 7] is not allowed; give `auto`, a number of"),
    ({"time": FORECAST_TIME | {"season": 5000}}, "time.season: 5000 is not allowed; give `auto`, a number of"),
    (
        {"validation": {"time_range": ["2024-02-30", "x"]}},
        "validation.time_range: ['2024-02-30', 'x'] is not allowed; ",
    ),
    ({"backtest": {"metric": "r2"}}, "backtest.metric: 'r2' is not allowed; input should be 'wape', 'smape'"),
    (
        {"backtest": {"spacing": 0}},
        "backtest.spacing: 0 is not allowed; input should be greater than or equal to 1, or",
    ),
    (
        {"partition": {"buckets": "many"}},
        "partition.buckets: 'many' is not allowed; input should be a valid integer, or",
    ),
    ({"features": {"lags": 5}}, "features.lags: 5 is not allowed; input should be a valid list, or input should be"),
    ({"features": {"lags": [0]}}, "features.lags.0: 0 is not allowed; input should be greater than or equal to 1"),
    ({"interval": {"level": 90}}, "interval.level: 90 is not allowed; input should be less than 1"),
    ({"gates": {"max_failed_share": -1}}, "gates.max_failed_share: -1 is not allowed; input should be greater"),
    ({"fallback": ["all"]}, "fallback.0: 'all' is not allowed; input should be a mapping, or input should be 'global'"),
    ({"candidates": [7]}, "candidates.0: 7 is not allowed; input should be a mapping"),
    ({"candidates": [{"name": "x", "estimator": "Ridge"}]}, "candidates.0.estimator: 'Ridge' is not allowed; "),
    ({"target": {"column": "units", "transform": "log1p", "minimum": -1}}, "target: {'column': 'units', "),
    # impossible combinations
    ({"time": None}, "time: task forecast needs it; give {column: ..., frequency: ...}"),
    ({"horizon": None}, "horizon: task forecast needs it; give a whole number of periods, at least 1"),
    ({"row_key": ["id"]}, "row_key: task forecast has none; "),
    ({"candidates": ["mean"]}, "candidates: 'mean' is not a candidate for task forecast; allowed: adida, croston, ets"),
    ({"candidates": ["ses", "ses"]}, "candidates: 'ses' is named twice"),
    ({"candidates": [{"name": "ses", "estimator": "a.B"}]}, "candidates: 'ses' is built in; give an estimator another"),
    ({"candidates": [{"name": "combination", "estimator": "a.B"}]}, "candidates: 'combination' is built in; "),
    ({"candidates": [{"name": "ridge", "params": {"alpha": 1}}]}, "candidates: 'ridge' takes no params, but has alpha"),
    ({"fallback": [{"parent": "city"}]}, "fallback: parent 'city' is not one of segment_by: store, brand"),
    ({"segment_by": ["Brand", "brand"]}, "segment_by: columns 'Brand' and 'brand' differ only in case; rename one"),
    ({"segment_by": ["brand", "brand"]}, "segment_by: column 'brand' is already used as segment_by"),
    ({"target": {"column": "brand"}}, "target: column 'brand' is already used as segment_by"),
    ({"features": {"known": ["units"]}}, "features.known: column 'units' is already used as target"),
    ({"features": {"static": ["a"], "categorical": ["a"]}}, "features.categorical: column 'a' is already used as "),
    ({"time": FORECAST_TIME | {"column": "units"}}, "time.column: column 'units' is already used as target"),
]


@pytest.mark.parametrize(("change", "told"), FORECAST_CASES, ids=lambda case: str(case)[:40])
def test_one_mistake_is_one_line_that_names_file_key_value_and_what_is_allowed(change, told):
    lines = [line for line in problems(FORECAST | change) if ".parent: is missing" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"fleets/shop.yaml: {told}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"horizon": 3}, "horizon: 3 is not allowed; task regression has none; remove it or use task: forecast"),
        ({"features": {}}, "features: task regression needs at least one of known, static or categorical"),
        (
            {"candidates": ["theta"]},
            "candidates: 'theta' is not a candidate for task regression; allowed: lightgbm, mean",
        ),
    ],
)
def test_what_a_regression_fleet_cannot_have_is_told(change, told):
    (line,) = problems(REGRESSION | change)
    assert line.startswith(f"fleets/shop.yaml: {told}")


def test_several_problems_are_all_told():
    lines = problems(FORECAST | {"horizn": 3, "horizon": 0, "source": {}, "combine": 1})
    assert [re.match(r"fleets/shop.yaml: ([\w.]+):", line).group(1) for line in lines] == [
        "source.path",
        "horizon",
        "combine",
        "horizn",
    ]
    lines = problems(FORECAST | {"horizon": None, "row_key": ["id"], "candidates": ["x", "x"]})
    assert [line.split(": ")[1] for line in lines] == ["horizon", "row_key", "candidates", "candidates"]


def test_a_long_value_is_shortened():
    (line,) = problems(FORECAST | {"source": "x" * 500})
    assert "xxx..." in line
    assert len(line) < 200


@pytest.mark.parametrize("content", [None, [], "name: shop", 3])
def test_what_is_no_mapping_is_no_fleet(content):
    assert problems(content) == [
        "fleets/shop.yaml: not a fleet file; expected keys such as name, task, source, segment_by, target"
    ]


def test_a_segment_column_may_be_a_categorical_feature_too():
    fleet = parse_fleet(FORECAST | {"features": {"categorical": ["brand"]}}, "here")
    assert fleet.columns == ("store", "brand", "day", "units")


def test_a_row_of_regression_may_be_described_by_its_time():
    content = REGRESSION | {"time": {"column": "year", "frequency": "Y"}, "features": {"known": ["year"]}}
    assert parse_fleet(content, "here").columns == ("route", "year", "minutes")


def test_lightgbm_and_estimators_take_params():
    guest = {"name": "mine", "estimator": "sklearn.linear_model.Ridge", "params": {"alpha": 2}}
    candidates = [{"name": "lightgbm", "params": {"n_estimators": 5}}, guest]
    assert parse_fleet(FORECAST | {"candidates": candidates}, "here").candidates[1].params == {"alpha": 2}


def test_files_that_cannot_be_read_name_themselves(tmp_path):
    with pytest.raises(FleetError, match=r"none\.yaml: cannot be read: No such file"):
        load_fleet("none", tmp_path)
    (tmp_path / "bad.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(FleetError, match=r"bad\.yaml: not valid YAML"):
        load_fleet("bad.yaml", tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: köln".encode("latin-1"))
    with pytest.raises(FleetError, match=r"latin\.yaml: cannot be read: it is not UTF-8 text"):
        load_fleet("latin.yaml", tmp_path)
    (tmp_path / "half.yaml").write_text(yaml.safe_dump({"name": "half"}), encoding="utf-8")
    with pytest.raises(FleetError, match=r"^half\.yaml: task: is missing"):
        load_fleet("half.yaml", tmp_path)


@pytest.mark.parametrize("text", ["horizon: 8\nname: a\nhorizon: 9", "target: {column: a, column: b}"])
def test_a_key_that_is_there_twice_is_not_silently_the_last_one(tmp_path, text):
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(FleetError, match=r"(?s)twice\.yaml: not valid YAML: key '(horizon|column)' occurs twice.*line"):
        load_fleet("twice.yaml", tmp_path)


@pytest.mark.parametrize(
    "text", ["", "- a\n- b", "just text", "7", "{[a]: b}", "&a [*a]", "a: !!python/object:os.x {}"]
)
def test_yaml_that_is_no_fleet_is_one_clear_error(tmp_path, text):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(FleetError, match=r"odd\.yaml: (not a fleet file|not valid YAML|.*unknown key)"):
        load_fleet("odd.yaml", tmp_path)


# --- what makes a model out of date


@pytest.mark.parametrize(
    ("change", "retrained"),
    [
        ({"description": "other"}, False),
        ({"source": {"path": "elsewhere"}}, False),
        ({"gates": {"max_model_bytes": 5}}, False),
        ({"gates": {"baseline_tolerance": 0.5}}, True),
        ({"gates": {"max_parity_error": 0.5}}, True),
        ({"partition": {"min_rows": 5}}, False),
        ({"fallback": []}, False),
        ({"max_failed_share": 0.9}, False),
        ({"candidates": ["seasonal_naive", "ses"]}, True),
        ({"seed": 1}, True),
        ({"interval": {"level": 0.8}}, True),
        ({"combine": False}, True),
    ],
)
def test_a_model_is_out_of_date_only_where_its_settings_changed(change, retrained):
    before, after = parse_fleet(FORECAST, "here"), parse_fleet(FORECAST | change, "here")
    same = settings_fingerprint(before, feature_spec_of(before, {})) == settings_fingerprint(
        after, feature_spec_of(after, {})
    )
    assert same is not retrained
