"""Panels cut and joined."""

import numpy as np
from kit import panel_of, series_of

from domain.config.candidates import CANDIDATES
from models.features.feature_spec import FeatureSpec
from models.features.panel import Panel
from models.features.training_rows import Cutoff
from models.smoothing.base import forecast
from models.smoothing.candidate import SmoothingCandidate
from models.smoothing.methods import smoothing_method


def test_joined_panels_keep_their_right_ends():
    long, short = panel_of([1.0, 2.0, 3.0], [4.0, 5.0], season=2), panel_of([9.0], season=2, ends=7)
    joined = Panel.join([long, short])
    expected = [[1, 2, 3], [np.nan, 4, 5], [np.nan, np.nan, 9]]
    np.testing.assert_array_equal(joined.values, expected)
    assert (joined.lengths.tolist(), joined.ends.tolist(), joined.season) == ([3, 2, 1], [100, 100, 7], 2)


def test_a_method_forecasts_the_same_from_panels_joined_and_one_by_one():
    random = np.random.default_rng(1)
    season = 1 + 0.4 * np.sin(np.arange(60) * np.pi / 6)
    panel = panel_of(*(80 * season[n:] * random.lognormal(0, 0.1, 60 - n) for n in (0, 7, 30)), season=12)
    panels = [panel.truncate(periods) for periods in (0, 4, 20, 45)]
    names = [name for name, spec in CANDIDATES.items() if spec.family == "smoothing"]
    for name in names:
        method = smoothing_method(name)
        joined = Panel.join(panels)
        together = forecast(method, joined, method.fit(joined, 4), 4)
        alone = np.concatenate([forecast(method, cut, method.fit(cut, 4), 4) for cut in panels])
        usable = np.concatenate([method.applicable(cut) for cut in panels])
        np.testing.assert_array_equal(method.applicable(joined), usable)
        np.testing.assert_allclose(together[usable], alone[usable], rtol=1e-6, err_msg=name)


def test_a_bucket_without_segments_has_forecasts_of_none():
    cutoff = Cutoff(series_of(), FeatureSpec("forecast", horizon=3), None, 0, 3)
    for method in ("seasonal_naive", "theta", "ses"):
        first, second = SmoothingCandidate(method, smoothing_method(method)).fit([cutoff, cutoff])
        assert first.forecast.shape == second.forecast.shape == (0, 3)
