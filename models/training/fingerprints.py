"""What decides whether a model must be trained again."""

import hashlib
import json
from collections.abc import Iterable

from domain.config.fleet import Fleet
from models.features.feature_spec import FeatureSpec, feature_spec_of

__all__ = ["TRAINING_VERSION", "cost_fingerprint", "level_fingerprint", "settings_fingerprint", "training_fingerprint"]

TRAINING_VERSION = 2
"""Raise it whenever a change of the code changes what training yields for the same rows and settings."""

_IRRELEVANT = {
    *("name", "description", "source", "gates", "score", "test"),
    *("max_failed_share", "fallback", "partition", "retraining"),
}
_GATES = {"baseline_tolerance", "max_parity_error"}
"""Gates that training anticipates when it chooses a winner."""


def settings_fingerprint(fleet: Fleet, spec: FeatureSpec) -> str:
    """Hash of everything but a segment's rows that its model depends on."""
    settings = fleet.model_dump(mode="json", exclude=_IRRELEVANT)
    settings["gates"] = fleet.gates.model_dump(mode="json", include=_GATES)
    text = json.dumps([TRAINING_VERSION, settings, spec.to_json()], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cost_fingerprint(fleet: Fleet) -> str:
    """Hash of the settings that decide what a segment costs to train and to score; the data are not among them."""
    return settings_fingerprint(fleet, feature_spec_of(fleet, {}))


def training_fingerprint(rows: str, settings: str) -> str:
    """Fingerprint of a model: of its segment's rows and of the settings."""
    return hashlib.blake2b(f"{rows}:{settings}".encode(), digest_size=16).hexdigest()


def level_fingerprint(members: Iterable[str]) -> str:
    """Fingerprint of a fallback level's rows: of those of its segments, in any order."""
    return hashlib.blake2b("\n".join(sorted(members)).encode(), digest_size=16).hexdigest()
