"""Fingerprints that decide whether a model must be trained again."""

import hashlib
import json
from collections.abc import Iterable

from domain.config.fleet import Fleet
from models.features.feature_spec import FeatureSpec, feature_spec_of

__all__ = ["TRAINING_VERSION", "cost_fingerprint", "level_fingerprint", "settings_fingerprint", "training_fingerprint"]

TRAINING_VERSION = 2
"""Increase it whenever a change of the code changes the models that the same rows and settings yield."""

_IRRELEVANT = {
    *("name", "description", "source", "gates", "score", "test", "sink"),
    *("max_failed_share", "fallback", "partition", "retraining"),
}
_GATES = {"baseline_tolerance", "max_parity_error"}
"""Gates whose limits training applies when it chooses a winner."""


def settings_fingerprint(fleet: Fleet, spec: FeatureSpec) -> str:
    """Hash of everything that a model depends on, except the rows of its segment."""
    settings = fleet.model_dump(mode="json", exclude=_IRRELEVANT)
    if fleet.time is not None:
        # Without a zone in the fleet file it was UTC; what it means by now shows in the rows and in the spec.
        settings["time"]["zone"] = fleet.time.zone_name
    settings["gates"] = fleet.gates.model_dump(mode="json", include=_GATES)
    text = json.dumps([TRAINING_VERSION, settings, spec.to_json()], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cost_fingerprint(fleet: Fleet) -> str:
    """Hash of the settings on which the cost of training and scoring a segment depends, regardless of the data."""
    return settings_fingerprint(fleet, feature_spec_of(fleet, {}))


def training_fingerprint(rows: str, settings: str) -> str:
    """Fingerprint of a model, from those of its segment's rows and of the settings."""
    return hashlib.blake2b(f"{rows}:{settings}".encode(), digest_size=16).hexdigest()


def level_fingerprint(members: Iterable[str]) -> str:
    """Fingerprint of a fallback level's rows, from those of its segments in any order."""
    return hashlib.blake2b("\n".join(sorted(members)).encode(), digest_size=16).hexdigest()
