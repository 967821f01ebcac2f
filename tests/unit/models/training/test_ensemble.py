"""Weights, choice and intervals from a segment's own backtest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.backtest import cutoffs
from models.training.ensemble import ENSEMBLE_INDEX, choose, conformal_quantile, ensemble, ensemble_weights

NAN = np.nan


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.lists(st.one_of(st.just(NAN), st.floats(0, 1e9)), min_size=4, max_size=4), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_weights_of_each_segment_sum_to_one(errors: list[list[list[float]]]) -> None:
    array = np.array(errors)
    weights = ensemble_weights(array)
    assert (weights >= 0.0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    known = np.isfinite(array).any(axis=(1, 2))
    assert (weights[known][~np.isfinite(array).any(axis=1)[known]] == 0.0).all()
    np.testing.assert_array_equal(ensemble_weights(array[:1]), weights[:1])


def test_weights_are_inverse_squares_of_the_errors() -> None:
    errors = np.array([[[1.0, 2.0, NAN], [10.0, 20.0, NAN]]])
    np.testing.assert_allclose(ensemble_weights(errors), [[0.8, 0.2, 0.0]], rtol=1e-6)


def test_a_member_missing_in_one_fold_is_judged_on_the_others() -> None:
    errors = np.array([[[1.0, 1.0], [5.0, NAN]]])
    np.testing.assert_allclose(ensemble_weights(errors), [[0.5, 0.5]])


def test_exact_members_share_and_leave_nothing_to_others() -> None:
    errors = np.array([[[0.0, 3.0, 0.0]], [[0.0, 0.0, 0.0]], [[NAN, NAN, NAN]]])
    expected = [[0.5, 0.0, 0.5], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]]
    np.testing.assert_allclose(ensemble_weights(errors), expected)


def test_hopeless_member_gets_nothing() -> None:
    assert ensemble_weights(np.array([[[1.0, 1.0, 20.0]]])).tolist() == [[0.5, 0.5, 0.0]]


def test_the_ensemble_shares_the_weight_of_a_missing_forecast() -> None:
    forecasts = np.array([[[1.0, 2.0], [3.0, NAN], [NAN, NAN]]])
    np.testing.assert_allclose(ensemble(forecasts, np.array([[0.25, 0.75, 0.0]])), [[2.5, 2.0]])
    assert np.isnan(ensemble(forecasts, np.array([[0.0, 0.0, 1.0]]))).all()


def test_the_ensemble_wins_unless_a_candidate_leads_by_far() -> None:
    errors = np.array([[[0.9, 2.0]], [[0.4, 2.0]], [[NAN, NAN]]])
    combined = np.array([[1.0], [1.0], [NAN]])
    assert choose(errors, combined, np.array([3, 0])).tolist() == [ENSEMBLE_INDEX, 0, ENSEMBLE_INDEX]


def test_simplest_of_nearly_equal_members_is_chosen() -> None:
    errors = np.array([[[1.0, 1.04, 1.2]]])
    assert choose(errors, np.array([[9.0]]), np.array([4, 1, 0])).tolist() == [1]
    assert choose(errors, np.array([[9.0]]), np.array([4, 1, 0]), tolerance=0.0).tolist() == [0]


def test_member_known_on_fewer_folds_is_not_chosen_alone() -> None:
    errors = np.array([[[1.0, NAN], [1.0, 0.1]]])
    assert choose(errors, np.array([[9.0, 9.0]]), np.array([1, 0])).tolist() == [0]


@pytest.mark.parametrize(("horizon", "drops"), [(18, (6, 12, 18)), (8, (3, 5, 8)), (2, (1, 2)), (1, (1,))])
def test_fold_drops_end_at_the_horizon(horizon: int, drops: tuple[int, ...]) -> None:
    assert cutoffs(horizon) == drops


def test_interval_covers_ninety_per_cent_of_a_random_walk() -> None:
    rng = np.random.default_rng(1)
    walks = np.cumsum(rng.normal(0.0, 1.0, (2000, 37)), axis=1)
    residuals = np.full((2000, 3, 18), NAN)
    for fold, drop in enumerate(cutoffs(18)):
        origin = 18 - drop
        residuals[:, fold, :drop] = walks[:, origin + 1 : 19] - walks[:, origin : origin + 1]
    half = conformal_quantile(residuals)
    ahead = np.abs(walks[:, 19:] - walks[:, 18:19])
    assert 0.84 < (ahead <= half).mean() < 0.95


def test_half_widths_grow_with_the_step_and_scale_with_the_residuals() -> None:
    residuals = np.random.default_rng(0).normal(0.0, 1.0, (5, 3, 12))
    half = conformal_quantile(residuals)
    np.testing.assert_allclose(half[:, 3] / half[:, 0], 2.0)
    np.testing.assert_allclose(conformal_quantile(7.0 * residuals), 7.0 * half)
    np.testing.assert_allclose(conformal_quantile(-residuals), half)
    assert (conformal_quantile(residuals, 0.5) < half).all()


def test_few_residuals_give_wider_intervals_than_their_largest_and_none_give_none() -> None:
    residuals = np.full((2, 1, 2), NAN)
    residuals[0, 0, 0] = 3.0
    half = conformal_quantile(residuals)
    assert half[0, 0] > 3.0
    assert np.isnan(half[1]).all()
