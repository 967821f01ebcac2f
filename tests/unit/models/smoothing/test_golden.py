"""Smoothing methods against statsforecast 2.1.1 (benchmarks/peers/statsforecast.lock), where both must agree.

The peer was given the same parameters and the same first states, since the two choose them differently: Myriad
minimises errors several steps ahead under a prior, starts exponential smoothing from a line through the first periods,
starts theta from the first value (the peer optimises it), and chooses alpha for Croston's method (the peer has 0.1).

The numbers come from `thetamodel(Y, 1, "DOTM", Y[0], alpha, theta, 3)` with `forecast_theta`, from `_lib.ets.calc` and
`_lib.ets.forecast` with the states and parameters below, and from `CrostonSBA`.
"""

import dataclasses

import numpy as np
import pytest
from kit import panel_of

from models.smoothing.base import damped_growth, forecast
from models.smoothing.ets_recursion import Recursion, Space
from models.smoothing.methods import smoothing_method
from models.smoothing.theta import _Lines, _run

Y = [112.0, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118, 115, 126, 141, 135, 125, 149, 170, 170]
LAST = len(Y) - 1
EXACT = 1e-8
"""Relative; the numbers below are rounded to ten digits."""


# --- theta

THETA = {
    (0.3, 2.0): ([155.1627207, 156.0638985, 156.9588769, 157.8459770, 158.7238507, 159.5914539], 5674.927666752),
    (0.6, 3.5): ([167.1409603, 168.5094938, 169.9742305, 171.5094400, 173.0958308, 174.7188241], 4106.744624212),
    (0.8, 1.25): ([169.3624532, 169.7325842, 170.1360093, 170.5614812, 171.0006901, 171.4474732], 3172.467239753),
}
"""Forecasts and the sum of squared one-step errors from the fourth value on, by alpha and theta."""


@pytest.mark.parametrize(("alpha", "theta"), THETA)
def test_theta_agrees_with_the_dynamic_optimised_theta_model(alpha, theta):
    expected, squares = THETA[alpha, theta]
    panel = panel_of(Y, ends=LAST)
    ones = np.ones((1, 1))
    parameters = {"alpha": np.array([alpha]), "theta": np.array([theta]), "damping": np.ones(1), "factors": ones}
    ours = forecast(smoothing_method("theta"), panel, parameters, 6)[0]
    assert ours[0] == pytest.approx(expected[0], rel=EXACT)
    # Further ahead the peer feeds its forecasts to the regression line; Myriad extrapolates the line of the last value.
    np.testing.assert_allclose(ours[1:], expected[1:], rtol=0.015)
    path, share = _run(_Lines.over(panel, ones), np.array([[alpha]])), 1.0 - 1.0 / theta
    assert (path.aa - share * (2.0 * path.ab - share * path.bb)).item() == pytest.approx(squares, rel=EXACT)


# --- exponential smoothing: level 115, slope 1.5, alpha 0.4, beta 0.1 = alpha * beta*, gamma 0.2 = (1 - alpha) * gamma*

SEASON = {"none": [0.0], "additive": [5.0, -3.0, -6.0, 4.0], "multiplicative": [1.05, 0.97, 0.94, 1.04]}
"""First seasonal indices in the order of the periods."""

STATES = {
    ("none", 0.9): ([162.1815931636, 6.1954126287], [0.0], 167.7574645295),
    ("additive", 0.9): (
        [160.7893325285, 5.7237274526],
        [-2.1542879853, 3.1211024880, 6.6318985580, 5.2940376472],
        163.7863992505,
    ),
    ("multiplicative", 0.9): (
        [160.0990719457, 5.6073097611],
        [0.9875435354, 1.0287950736, 1.0484489069, 1.0381485410],
        163.0885197860,
    ),
    ("none", 1.0): ([162.6367323913, 6.9353970509], [0.0], 169.5721294422),
    ("additive", 1.0): (
        [162.0821207147, 6.4911317755],
        [-2.8201407923, 2.4461195940, 5.9170461027, 4.4392386467],
        165.7531116978,
    ),
    ("multiplicative", 1.0): (
        [161.4408990721, 6.3808829525],
        [0.9828166473, 1.0241714473, 1.0435408832, 1.0318966809],
        164.9380411600,
    ),
}
"""Level and trend, season in the order of the next periods, and the next period's forecast, by kind and phi."""

AHEAD = {
    "none": [169.5721294, 176.5075265, 183.4429235, 190.3783206, 197.3137177, 204.2491147, 211.1845118, 218.1199088],
    "additive": [
        165.7531117,
        177.5105039,
        187.4725621,
        192.4858865,
        191.7176388,
        203.4750310,
        213.4370893,
        218.4504136,
    ],
    "multiplicative": [
        *(164.9380412, 178.4133955, 188.4463151, 192.9279757),
        *(190.0229931, 204.5538680, 215.0811640, 219.2656234),
    ],
}
SQUARES = {
    "none": (249.48944208, 661.69829381, 1436.94416853),
    "additive": (277.92211348, 669.88236408, 1543.76672541),
    "multiplicative": (282.77067708, 665.90311338, 1552.79605944),
}
"""Mean squared errors one, three and six steps ahead. For phi = 1 only: the peer's sum of phi^i repeats its first term
beyond the first step, as the C code of R's forecast package does."""


def recursion(kind):
    """The recursion from the first states above; period 0 has phase 0."""
    first = SEASON[kind]
    start = Recursion.over(panel_of(Y, season=len(first), ends=LAST), np.array([first]), kind, True)
    return dataclasses.replace(start, level=np.array([115.0]), trend=np.array([1.5]))


def points(kind, phi):
    return np.array([0.4, 0.25, 0.0 if kind == "none" else 0.2 / 0.6, phi])


def path(kind, phi, horizon):
    """Forecasts of the next periods. They begin at phase 0, since 20 periods are five seasons."""
    final = recursion(kind).final(points(kind, phi)[:, None])
    line = final.level + damped_growth(np.array([phi]), horizon)[0] * final.trend
    season = np.resize(final.season[0], horizon)
    return line * season if kind == "multiplicative" else line + season


@pytest.mark.parametrize(("kind", "phi"), STATES)
def test_exponential_smoothing_reaches_the_states_of_ets(kind, phi):
    (level, trend), season, following = STATES[kind, phi]
    final = recursion(kind).final(points(kind, phi)[:, None])
    assert final.level[0] == pytest.approx(level, rel=EXACT)
    assert final.trend[0] == pytest.approx(trend, rel=EXACT)
    np.testing.assert_allclose(final.season[0], season, rtol=EXACT)
    assert path(kind, phi, 1)[0] == pytest.approx(following, rel=EXACT)


@pytest.mark.parametrize("kind", AHEAD)
def test_exponential_smoothing_forecasts_as_ets_does(kind):
    np.testing.assert_allclose(path(kind, 1.0, 8), AHEAD[kind], rtol=EXACT)


@pytest.mark.parametrize("kind", SQUARES)
def test_the_criterion_sums_squared_errors_one_three_and_six_steps_ahead(kind):
    """Unless a method says otherwise; one step alone rewards levels that chase the noise."""
    smoothing, sums = recursion(kind), np.array(SQUARES[kind]) * (len(Y) - np.array([0, 2, 5]))
    cost = smoothing.cost(points(kind, 1.0)[:, None, None], Space((), (), penalty=0.0))
    assert np.exp(cost).item() * smoothing.scale.item() ** 2 == pytest.approx(sums.sum(), rel=EXACT)


# --- Croston


def test_croston_agrees_with_the_method_of_syntetos_and_boylan():
    """First demand and first interval are those on average, so that both methods start from the same sizes."""
    demand = [0.0, 0, 4, 0, 0, 0, 2, 0, 6, 0, 0, 5, 0, 0, 0, 3, 0, 4]
    parameters = {"alpha": np.array([0.1]), "damping": np.zeros(1)}
    ours = forecast(smoothing_method("croston"), panel_of(demand), parameters, 3)[0]
    np.testing.assert_allclose(ours, 1.2757864492, rtol=EXACT)
