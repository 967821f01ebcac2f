from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from domain.data.simulation import KINDS, SimulationSpec, segment_kinds, simulate

MIXED = SimulationSpec(
    stores=100,
    weeks=104,
    seed=7,
    short_share=0.1,
    intermittent_share=0.1,
    dead_share=0.1,
    gappy_share=0.1,
    unseen_share=0.1,
)


def tables(spec: SimulationSpec, **how) -> tuple[pa.Table, pa.Table, pa.Table]:
    chunks = list(simulate(spec, **how))
    parts = ([getattr(chunk, name) for chunk in chunks] for name in ("sales", "future", "actuals"))
    sales, future, actuals = (pa.concat_tables(part).combine_chunks() for part in parts)
    return sales, future, actuals


def segments_of(table: pa.Table, spec: SimulationSpec) -> np.ndarray:
    brand = pc.index_in(table["brand"], pa.array(spec.brands)).to_numpy()
    return (table["store"].to_numpy() - 1) * len(spec.brands) + brand


def test_rows_do_not_depend_on_chunks_or_on_other_segments():
    whole = tables(MIXED)
    assert tables(MIXED, chunk=17) == whole
    part = tables(MIXED, segments=range(50, 80), chunk=7)
    for some, everything in zip(part, whole, strict=True):
        number = segments_of(everything, MIXED)
        assert some == everything.filter(pa.array((number >= 50) & (number < 80))).combine_chunks()


def test_seed_decides():
    small = SimulationSpec(stores=3)
    assert tables(small) == tables(small)
    assert tables(small)[0] != tables(SimulationSpec(stores=3, seed=1))[0]


def test_sizes_of_a_plain_simulation():
    spec = SimulationSpec(stores=5, weeks=30, horizon=4, first_week=date(2024, 1, 1))
    sales, future, actuals = tables(spec)
    assert sales.column_names == ["week", "store", "brand", "units", "price", "promo"]
    assert future.column_names == ["week", "store", "brand", "price", "promo"]
    assert actuals.column_names == ["week", "store", "brand", "units"]
    assert (sales.num_rows, future.num_rows, actuals.num_rows) == (15 * 30, 15 * 4, 15 * 4)
    assert sales["week"].unique().to_pylist() == [date(2024, 1, 1) + timedelta(weeks=week) for week in range(30)]
    assert future["week"].unique().to_pylist() == [date(2024, 1, 1) + timedelta(weeks=week) for week in range(30, 34)]
    assert future.select(["week", "store", "brand"]) == actuals.select(["week", "store", "brand"])
    assert sales["store"].unique().to_pylist() == [1, 2, 3, 4, 5]


def test_elasticity_and_uplift_can_be_found_again():
    spec = SimulationSpec(stores=60, weeks=150, elasticity=-2.0, promo_uplift=0.5, noise=0.1)
    sales = tables(spec)[0]
    number = segments_of(sales, spec)

    def within(values: np.ndarray) -> np.ndarray:
        # Differences between weeks remove the segment's size, and nearly all of season and drift.
        return np.diff(values)[np.diff(number) == 0]

    units = within(np.log1p(sales["units"].to_numpy()))
    known = np.column_stack([within(np.log(sales["price"].to_numpy())), within(sales["promo"].to_numpy())])
    elasticity, uplift = np.linalg.lstsq(known, units, rcond=None)[0]
    assert elasticity == pytest.approx(-2.0, abs=0.15)
    assert uplift == pytest.approx(0.5, abs=0.05)


def test_noise_is_normal_with_the_given_deviation():
    quiet, noisy = (tables(SimulationSpec(stores=100, noise=noise))[0]["units"].to_numpy() for noise in (0.0, 0.3))
    large = quiet > 100  # where rounding to whole units hardly matters
    noise = np.log(noisy[large] / quiet[large]) / 0.3
    assert np.quantile(noise, [0.025, 0.16, 0.5, 0.84, 0.975]) == pytest.approx([-1.96, -0.99, 0, 0.99, 1.96], abs=0.04)


def test_season_repeats_every_year():
    spec = SimulationSpec(stores=100, weeks=313, brands=("one",), noise=0.05)
    units = np.log1p(tables(spec)[0]["units"].to_numpy()).reshape(100, 313).mean(axis=0)
    units = units - np.polyval(np.polyfit(np.arange(313), units, 1), np.arange(313))
    year, half = (np.corrcoef(units[lag:], units[:-lag])[0, 1] for lag in (52, 26))
    assert year > 0.5
    assert half < -0.3


def test_kinds_are_as_they_are_called():
    sales, future, _ = tables(MIXED)
    number, ahead = segments_of(sales, MIXED), segments_of(future, MIXED)
    rows = np.bincount(number, minlength=300)
    zeros = np.bincount(number, sales["units"].to_numpy() == 0, minlength=300) / np.maximum(rows, 1)
    last = np.full(300, "1970-01-01", dtype="datetime64[D]")
    np.maximum.at(last, number, sales["week"].to_numpy())
    final = np.datetime64(MIXED.first_week) + 7 * 103
    kinds = segment_kinds(MIXED, np.arange(300))
    of = {name: kinds == index for index, name in enumerate(KINDS)}
    assert all(15 <= of[name].sum() <= 45 for name in KINDS[1:])
    assert (rows[of["regular"] | of["intermittent"]] == 104).all()
    assert ((rows[of["short"]] >= 1) & (rows[of["short"]] <= 20)).all()
    assert ((rows[of["gappy"]] > 30) & (rows[of["gappy"]] < 104)).all()
    assert (rows[of["unseen"]] == 0).all()
    assert (zeros[of["intermittent"]] > 0.4).all()
    assert (last[of["dead"]] < final - 20 * 7).all()
    assert (last[~of["dead"] & ~of["unseen"] & ~of["gappy"]] == final).all()
    assert not np.isin(np.flatnonzero(of["dead"]), ahead).any()
    assert (np.bincount(ahead, minlength=300)[~of["dead"]] == MIXED.horizon).all()


def test_dirt_is_added_to_otherwise_equal_rows():
    plain = SimulationSpec(stores=100)
    dirty = SimulationSpec(stores=100, duplicate_share=0.02, null_share=0.03, outlier_share=0.01)
    clean, sales = tables(plain)[0].to_pandas(), tables(dirty)[0].to_pandas()
    keys = ["store", "brand", "week"]
    repeated = sales.duplicated(keys)
    assert repeated.mean() == pytest.approx(0.02, abs=0.004)
    first = sales[~repeated].reset_index(drop=True)
    assert first.drop(columns="units").equals(clean.drop(columns="units"))
    assert first.units.isna().mean() == pytest.approx(0.03, abs=0.004)
    outliers = first.units > 1.5 * clean.units
    assert outliers.mean() == pytest.approx(0.01, abs=0.003)
    unharmed = ~outliers & first.units.notna()
    assert (first.units[unharmed] == clean.units[unharmed]).all()
    assert (sales[repeated].units.to_numpy() != sales.units[np.flatnonzero(repeated) - 1].to_numpy()).all()
    assert tables(dirty)[2] == tables(plain)[2]


def test_unparsable_units_are_texts():
    units = tables(SimulationSpec(stores=50, unparsable_share=0.05))[0]["units"]
    assert units.type == pa.string()
    numbers = pc.match_substring_regex(units, r"^\d+(\.0)?$")
    assert 1 - pc.mean(numbers.cast(pa.int8())).as_py() == pytest.approx(0.05, abs=0.01)


def test_a_limit_cuts_the_last_store_and_changes_no_other_row():
    cut, whole = SimulationSpec(stores=4, max_segments=10), SimulationSpec(stores=4)
    assert (cut.segments, SimulationSpec(stores=4, max_segments=100).segments) == (10, 12)
    for part, everything in zip(tables(cut), tables(whole), strict=True):
        assert part == everything.filter(pa.array(segments_of(everything, whole) < 10)).combine_chunks()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_segments": 0}, "max_segments: 0"),
        ({"stores": 0}, "stores: 0"),
        ({"horizon": -1}, "horizon: -1"),
        ({"brands": ("a", "a")}, "brands"),
        ({"short_share": 0.6, "dead_share": 0.6}, "shares"),
        ({"null_share": -0.1}, "shares"),
    ],
)
def test_impossible_specs_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SimulationSpec(**wrong)
