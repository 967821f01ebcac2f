"""Forecast segments with the champions of a release, or along the fallback chain."""

from domain.config.fleet import Fleet
from domain.failure import Failure
from models.inference.fallback import FallbackChain
from models.inference.forecast import Forecast, ForecastInputs, forecast_own
from models.inference.loaded_models import Champions

__all__ = ["predict"]


def predict(champions: Champions, inputs: ForecastInputs, fleet: Fleet) -> dict[str, Forecast | Failure]:
    """Forecast every segment: by its own champion, else by a level's model at its size, else by its last value.

    Parameters
    ----------
    champions : models of a release. Keep them between calls: their sessions are reused.
    inputs : history, covariates and segments to forecast.
    fleet : the fleet file: clock, horizon, fallback chain.

    Returns
    -------
    A forecast per segment; a Failure where nothing can predict it, which says what was tried. Segments whose own
    champion predicts them come first, by contract.
    """
    own = forecast_own(champions.segments, inputs, fleet)
    results = {segment: result for segment, result in own.items() if isinstance(result, Forecast)}
    failures = {segment: result for segment, result in own.items() if isinstance(result, Failure)}
    # A segment may have a champion and no row yet, as of a past moment: such segments come last.
    absent = [segment for segment in inputs.segments if segment in champions.segments and segment not in own]
    rest = [segment for segment in inputs.segments if segment not in champions.segments or segment in failures]
    remaining = {segment: failures.get(segment) for segment in (*rest, *absent)}
    if not remaining:
        return {**results}
    return {**results, **FallbackChain(champions.levels, inputs, fleet).forecast(remaining)}
