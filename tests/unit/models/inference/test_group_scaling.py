"""Levels that stand in for segments: brought to size, and with an interval that fits a segment."""

import numpy as np
import pytest
from kit import pattern_of

from models.features.panel import Panel
from models.features.series import Series
from models.inference.group_scaling import aligned, dispersion, fit_group_scaling

H = 4


def series(values, ends):
    values = np.asarray(values, dtype=float)
    lengths = (~np.isnan(values)).sum(axis=1)
    panel = Panel(values, lengths, np.asarray(ends), 1)
    names = tuple(f"s{number}" for number in range(len(values)))
    last = np.zeros(len(values), "datetime64[us]")
    return Series(names, panel, np.zeros((*values.shape, 0)), last, lengths, pattern_of(last))


def shops(segments=80, weeks=60, noise=0.3, seed=0):
    """Segments of different sizes around one common path, and the mean of them all."""
    random = np.random.default_rng(seed)
    path = 1 + 0.3 * np.sin(np.arange(weeks) / 4)
    values = random.uniform(20, 200, segments)[:, None] * path * random.lognormal(0, noise, (segments, weeks))
    return values, values.mean(axis=0)


def test_values_stand_in_the_columns_of_the_level():
    own = series([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], [10, 9, 12])
    values = aligned(own, np.zeros((3, 4)), np.array([10, 10, 10]))
    assert np.array_equal(values, [[np.nan, 1, 2, 3], [4, 5, 6, np.nan], [np.nan, np.nan, np.nan, 7]], equal_nan=True)
    none = aligned(series([[1.0]], [30]), np.zeros((1, 4)), np.array([10]))
    assert np.isnan(none).all()


def test_a_level_is_scaled_to_positive_segments_and_shifted_to_others():
    level = np.array([[10.0, 20.0, 30.0]])
    scaled = fit_group_scaling(np.array([[np.nan, 40.0, 60.0]]), level)
    assert (scaled.factor, scaled.offset, scaled.size, scaled.shared) == (2.0, 0.0, 40.0, 2)
    shifted = fit_group_scaling(np.array([[np.nan, -5.0, 5.0]]) - 10, level)
    assert (shifted.factor, shifted.offset) == (1.0, -35.0)
    assert fit_group_scaling(np.zeros((1, 0)), level) == fit_group_scaling(np.full((1, 3), np.nan), level)
    assert fit_group_scaling(np.zeros((1, 0)), level).factor == 1.0


@pytest.mark.parametrize("shared", [2, 8, 26])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_nine_in_ten_segments_stay_within_the_spread(shared, noise):
    """Measured on some segments, it holds for others that have as few rows."""
    values, level = shops(segments=2_000, noise=noise)
    levels = np.broadcast_to(level, values.shape)
    width = dispersion(values[:100, :-H], levels[:100, :-H], shared, H, 0.9)
    inside = []
    for own in values[100:]:
        fit = fit_group_scaling(own[None, -H - shared : -H], level[None, -H - shared : -H])
        size = np.abs(level[:-H] * fit.factor).mean()
        inside.append(np.abs(own[-H:] - fit.factor * level[-H:]) <= width * size)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_a_segment_of_unknown_size_may_be_any_of_them():
    """Without a shared period the level is taken as it is, and the sizes of the segments count too."""
    values, level = shops(noise=0.01)
    levels = np.broadcast_to(level, values.shape)
    known, unknown = (dispersion(values, levels, shared, H, 0.9) for shared in (8, 0))
    assert known < 0.05 < 0.5 < unknown


def test_too_few_segments_are_judged_on_all_that_they_have():
    values, level = shops(segments=3, weeks=8)
    assert 0 < dispersion(values, np.broadcast_to(level, values.shape), 6, H, 0.9) < 2
    nothing = np.full((2, 5), np.nan)
    assert np.isnan(dispersion(nothing, nothing, 2, H, 0.9))


def test_what_a_segment_did_before_its_level_says_nothing():
    values, level = shops(segments=30)
    levels = np.broadcast_to(level, values.shape).copy()
    levels[:, :40] = np.nan
    wild = values.copy()
    wild[:, :40] = 1e9
    assert dispersion(wild, levels, 8, H, 0.9) == dispersion(values, levels, 8, H, 0.9)


def test_a_segment_of_zeros_is_measured_at_the_size_of_its_level():
    """Nothing sold in a few weeks says little about the next ones."""
    level = np.full((1, 6), 10.0)
    fit = fit_group_scaling(np.array([[np.nan] * 4 + [0.0, 0.0]]), level)
    assert (fit.factor, fit.size, fit.shared) == (0.0, 10.0, 2)
    rare = np.random.default_rng(2).poisson(0.3, (200, 40)).astype(float)
    every = np.broadcast_to(rare.mean(axis=0), rare.shape)
    assert dispersion(rare, every, 2, H, 0.9) > 1
