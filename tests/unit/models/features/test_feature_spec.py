"""Features against a slow obvious implementation, and what must never leak into them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import panel_of

from models.features.feature_spec import STATES, FeatureSpec, base_features, feature_spec_of, state_columns
from models.features.panel import Panel


def spec(**changes):
    plain = {"season": 4, "horizon": 5, "lags": (1, 3), "season_lags": 2, "windows": (2, 6), "harmonics": 2}
    return FeatureSpec("forecast", **(plain | {"frequency": "Q", "numeric": ("price",)} | changes))


def slow(values, ends, covariates, spec, origin, step):
    """One row of base features by the definition; values of one segment from its start, origin an index of them."""
    history = list(values[: origin + 1])
    mean = sum(history) / len(history) if history else 0.0
    row = [float(step)]
    for lag in spec.lags:
        row.append(history[-lag] if lag <= len(history) else mean)
    for past in range(spec.season_lags):
        back = -(-step // spec.season) + past
        index = origin + step - back * spec.season
        row.append(history[index] if index >= 0 else mean)
    for window in spec.windows:
        recent = history[-window:]
        row.append(sum(recent) / len(recent) if recent else 0.0)
    phase = (ends - (len(values) - 1) + origin + step) % spec.season
    for k in range(1, spec.harmonics + 1):
        angle = 2 * np.pi * k * phase / spec.season
        row += [np.sin(angle), np.cos(angle)]
    return [*row, *covariates[origin + step]]


@settings(max_examples=40)
@given(st.data())
def test_features_equal_the_slow_obvious_implementation(data):
    season = data.draw(st.sampled_from([1, 2, 4, 7]))
    horizon = data.draw(st.integers(1, 9))
    chosen = spec(
        season=season,
        horizon=horizon,
        season_lags=0 if season == 1 else data.draw(st.integers(0, 2)),
        harmonics=min(2, season // 2),
        lags=tuple(data.draw(st.lists(st.integers(1, 8), max_size=3, unique=True))),
        windows=tuple(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True))),
    )
    value = st.floats(-1e4, 1e4, allow_subnormal=False)
    lists = data.draw(st.lists(st.lists(value, min_size=1, max_size=20), min_size=1, max_size=3))
    ends = data.draw(st.lists(st.integers(-50, 500), min_size=len(lists), max_size=len(lists)))
    panel = panel_of(*lists, season=season, ends=ends)
    width = panel.values.shape[1]
    covariates = np.random.default_rng(0).normal(size=(len(lists), width + horizon, 1))
    origins = np.arange(width)
    found = base_features(panel, covariates, chosen, origins)
    assert found.shape == (len(lists), width, horizon, len(chosen.base))
    for s, values in enumerate(lists):
        before = width - len(values)
        for origin in range(before, width):
            for step in range(1, horizon + 1):
                expected = slow(values, ends[s], covariates[s, before:], chosen, origin - before, step)
                np.testing.assert_allclose(found[s, origin, step - 1], expected, rtol=1e-7, atol=1e-7)


def test_lags_reaching_before_the_start_are_the_mean_up_to_the_origin():
    panel = panel_of([2.0, 4.0, 9.0])
    chosen = spec(season=1, season_lags=0, harmonics=0, numeric=(), lags=(1, 3), windows=(2,), horizon=1)
    found = base_features(panel, np.zeros((1, 4, 0)), chosen, np.array([0, 1, 2]))[0, :, 0]
    assert found.tolist() == [[1.0, 2.0, 2.0, 2.0], [1.0, 4.0, 3.0, 3.0], [1.0, 9.0, 2.0, 6.5]]


def wide_panel(rows=5, width=40):
    rng = np.random.default_rng(1)
    panel = panel_of(*[rng.normal(50.0, 9.0, width - 3 * row) for row in range(rows)], season=4)
    return Panel(panel.values, panel.lengths, panel.ends + np.arange(rows), 4), rng.normal(size=(rows, width + 5, 1))


def test_values_after_the_origin_change_nothing():
    panel, covariates = wide_panel()
    changed = panel.values.copy()
    changed[:, 31:] = -1e6
    other = Panel(changed, panel.lengths, panel.ends, 4)
    origins = np.arange(20, 31)
    np.testing.assert_array_equal(
        base_features(panel, covariates, spec(), origins), base_features(other, covariates, spec(), origins)
    )


def test_a_panel_that_ends_at_the_origin_gives_the_same_features():
    panel, covariates = wide_panel()
    longer = base_features(panel, covariates, spec(), np.array([30]))
    shorter = base_features(panel.truncate(9), covariates[:, :36], spec(), np.array([30]))
    np.testing.assert_array_equal(longer, shorter)


def test_a_segment_alone_gives_the_same_features_as_in_a_batch():
    panel, covariates = wide_panel()
    batch = base_features(panel, covariates, spec(), np.array([39]))
    for row in range(5):
        length = int(panel.lengths[row])
        alone = Panel(panel.values[[row], 40 - length :], panel.lengths[[row]], panel.ends[[row]], 4)
        found = base_features(alone, covariates[[row], 40 - length :], spec(), np.array([length - 1]))
        np.testing.assert_array_equal(found[0], batch[row])


def test_covariates_are_those_of_the_target_period():
    panel, covariates = wide_panel()
    found = base_features(panel, covariates, spec(), np.array([10, 39]))
    np.testing.assert_array_equal(found[..., -1], covariates[:, [[11, 12, 13, 14, 15], [40, 41, 42, 43, 44]], 0])


def test_states_are_read_at_the_phase_of_the_target():
    multiplier, addend = np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 20.0, 30.0]])
    found = state_columns(np.array([5.0]), np.array([0.5]), multiplier, addend, np.array([[2, 0]]))
    assert found.tolist() == [[[5.0, 0.5, 3.0, 30.0], [5.0, 0.5, 1.0, 10.0]]]


@pytest.mark.parametrize(
    ("time", "season", "lags", "windows", "harmonics"),
    [
        ({"frequency": "D"}, 7, 2, (3, 7), 3),
        ({"frequency": "W"}, 52, 1, (3, 8), 3),
        ({"frequency": "Y"}, 1, 0, (3, 8), 0),
        ({"frequency": "D", "season": 2}, 2, 2, (3, 8), 1),
    ],
)
def test_contract_follows_the_season(fleet, time, season, lags, windows, harmonics):
    found = feature_spec_of(fleet.forecast(time={"column": "day"} | time), {})
    assert (found.season, found.season_lags, found.windows, found.harmonics) == (season, lags, windows, harmonics)


def test_the_anchor_is_the_longest_window_however_the_fleet_lists_them(fleet):
    found = feature_spec_of(fleet.forecast(features={"rolling": [12, 2, 12], "lags": [3, 1, 3]}), {})
    assert found.windows == (2, 12)
    assert found.lags == (1, 3)
    assert found.base[found.design.anchor] == "mean_12"
    assert len(set(found.names)) == len(found.names)


def test_design_holds_every_base_column_once_and_the_anchor_among_its_values(fleet):
    chosen = spec(categories={"promo": ("a", "b")}, states=("ses",))
    design = chosen.design
    assert sorted((*design.values, *design.others)) == list(range(len(chosen.base)))
    assert design.anchor in design.values
    assert chosen.names == (*chosen.base, *(f"ses.{state}" for state in STATES))
    assert chosen.base[-3:] == ("price", "promo=a", "promo=b")


def test_categories_keep_their_order_through_json():
    chosen = spec(categories={"weather": ("wet", "dry"), "dest": ("LAX",)})
    assert FeatureSpec.from_json(chosen.to_json()).covariates == ("price", "weather=wet", "weather=dry", "dest=LAX")


def test_features_have_one_column_a_name():
    panel, covariates = wide_panel()
    found = base_features(panel, covariates, spec(), np.array([39]))
    assert found.shape[-1] == len(spec().base)


@settings(max_examples=40)
@given(
    st.builds(
        FeatureSpec,
        st.just("forecast"),
        st.integers(1, 99),
        st.sampled_from(["D", None]),
        st.integers(1, 99),
        st.sampled_from(["none", "log1p"]),
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.lists(st.integers(1, 99)).map(tuple),
        st.integers(0, 2),
        st.lists(st.integers(2, 99)).map(tuple),
        st.integers(0, 3),
        st.lists(st.text(), max_size=3).map(tuple),
        st.dictionaries(st.text(), st.lists(st.text(), max_size=3).map(tuple), max_size=2),
        st.lists(st.text(), max_size=3).map(tuple),
    )
)
def test_contract_survives_json(chosen):
    restored = FeatureSpec.from_json(chosen.to_json())
    assert restored == chosen
    assert restored.names == chosen.names
    assert json.loads(chosen.to_json())["horizon"] == chosen.horizon
