"""Batched ridge against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from models.features.design import design_matrix
from models.features.feature_spec import Design
from models.features.training_rows import Rows
from models.regressors.ridge import LinearRows, solve_ridge, sufficient_statistics


def rows(segments=4, n=60, k=3, offset=0.0):
    rng = np.random.default_rng(2)
    x = offset + rng.normal(size=(segments, n, k)) * np.array([1.0, 100.0, 0.01])[:k]
    y = 5.0 + x @ rng.normal(size=k) + rng.normal(size=(segments, n))
    return x, y


def sklearn_ridge(x, y, penalty, weight=None):
    """Ridge on standardised columns; coefficients in the columns' own units."""
    used = np.ones(len(y), bool) if weight is None else weight > 0
    x, y = x[used], y[used]
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    fitted = Ridge(alpha=penalty * len(y), solver="cholesky").fit((x - mean) / spread, y)
    return fitted.coef_ / spread, fitted.intercept_ - fitted.coef_ @ (mean / spread)


@settings(max_examples=30)
@given(penalty=st.floats(1e-4, 1e3), offset=st.sampled_from([0.0, 10.0, 1e4]))
def test_solution_equals_scikit_learn_on_standardised_columns(penalty, offset):
    x, y = rows(offset=offset)
    coefficients, intercept = solve_ridge(sufficient_statistics(x, y, np.ones(y.shape)), np.array([[penalty]]))
    for s in range(len(x)):
        expected, constant = sklearn_ridge(x[s], y[s], penalty)
        predicted = x[s] @ coefficients[s] + intercept[s]
        np.testing.assert_allclose(predicted, x[s] @ expected + constant, rtol=1e-3, atol=1e-3 * y[s].std())


def test_rows_without_weight_are_left_out_even_if_they_hold_nonsense():
    x, y = rows()
    weight = np.ones(y.shape)
    weight[:, ::3] = 0.0
    x[:, ::3], y[:, ::3] = 1e6, np.nan
    coefficients, intercept = solve_ridge(sufficient_statistics(x, y, weight), np.array([[0.1]]))
    expected, constant = sklearn_ridge(x[1], y[1], 0.1, weight[1])
    np.testing.assert_allclose(coefficients[1], expected, rtol=1e-6)
    assert intercept[1] == pytest.approx(constant)


def test_a_constant_column_gets_nothing_and_changes_nothing():
    x, y = rows()
    with_constant = np.concatenate([x, np.full((*y.shape, 1), 1234.5)], axis=-1)
    plain, constant = solve_ridge(sufficient_statistics(x, y, np.ones(y.shape)), np.array([[0.1]]))
    found, intercept = solve_ridge(sufficient_statistics(with_constant, y, np.ones(y.shape)), np.array([[0.1]]))
    assert (found[:, -1] == 0.0).all()
    np.testing.assert_allclose(found[:, :-1], plain, rtol=1e-9)
    np.testing.assert_allclose(intercept, constant, rtol=1e-9)


def test_collinear_columns_share_their_weight():
    x, y = rows(k=1)
    doubled = np.concatenate([x, x], axis=-1)
    found, intercept = solve_ridge(sufficient_statistics(doubled, y, np.ones(y.shape)), np.array([[1e-4]]))
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-4)
    assert np.isfinite(intercept).all()


def test_a_batch_of_one_equals_a_batch_of_many():
    x, y = rows()
    many = solve_ridge(sufficient_statistics(x, y, np.ones(y.shape)), np.array([[0.1]]))
    one = solve_ridge(sufficient_statistics(x[[2]], y[[2]], np.ones((1, 60))), np.array([[0.1]]))
    np.testing.assert_allclose(one[0][0], many[0][2], rtol=1e-12)
    np.testing.assert_allclose(one[1][0], many[1][2], rtol=1e-12)


def test_each_column_and_segment_has_a_penalty_of_its_own():
    x, y = rows()
    found, _ = solve_ridge(sufficient_statistics(x, y, np.ones(y.shape)), np.tile([1e9, 1e-6, 1e-6], (4, 1)))
    assert (np.abs(found[:, 0]) < 1e-6).all()
    assert (np.abs(found[:, 1]) > 1e-3).all()


def test_no_rows_give_zeros():
    found, intercept = solve_ridge(
        sufficient_statistics(np.zeros((1, 5, 2)), np.zeros((1, 5)), np.zeros((1, 5))), np.array([[0.1]])
    )
    assert not found.any()
    assert not intercept.any()


def test_design_is_relative_to_the_anchor_on_the_fitting_scale():
    base = np.array([[1.0, 8.0, 3.0, 0.5]])
    columns, anchor = design_matrix(base, Design((1, 2), (0, 3), 2), "log1p")
    np.testing.assert_allclose(anchor, np.log(4.0))
    np.testing.assert_allclose(columns, [[np.log(9.0 / 4.0), 0.0, 1.0, 0.5]])
    plain, none = design_matrix(base, Design((), (0, 1, 2, 3), None), "log1p")
    np.testing.assert_array_equal(plain, base)
    assert none.tolist() == [0.0]


def test_moments_of_a_cutoff_are_those_of_the_rows_known_by_then():
    rng = np.random.default_rng(7)
    origins, horizon = np.array([3, 4, 5, 6, 9]), 3
    base = rng.normal(size=(2, len(origins), horizon, 4))
    target = rng.normal(size=(2, len(origins), horizon))
    target[:, -1, 1:] = np.nan
    usable = ~np.isnan(target) & (rng.random(target.shape) < 0.8)
    found = LinearRows.over(Rows(origins, base, target, usable), Design((1, 2), (0, 3), 2), "none")
    by_cutoff = found.sufficient_statistics([8, 5, 10, 8, 2])
    assert sorted(by_cutoff) == [2, 5, 8, 10]
    for cutoff, sums in by_cutoff.items():
        known = origins[:, None] + np.arange(1, horizon + 1) <= cutoff
        weight = (usable & known[None]).reshape(2, -1).astype(float)
        expected = sufficient_statistics(found.x, found.y, weight)
        for name in ("rows", "x", "y", "xx", "xy"):
            np.testing.assert_allclose(getattr(sums, name), getattr(expected, name), atol=1e-9)
    assert by_cutoff[2].rows.tolist() == [0.0, 0.0]
