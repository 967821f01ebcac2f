"""Model registry (MLflow): one registered model per segment, one version per change, aliases for releases."""

from adapters.registry.direct_access import DirectAccess
from adapters.registry.registry import Registry
from adapters.registry.run_record import RunRecord, TrainingData
from adapters.registry.types import (
    FINGERPRINT_TAG,
    Batch,
    FetchedModel,
    ModelEntry,
    Registration,
    StoredVersion,
    tag_key,
)

__all__ = [
    "FINGERPRINT_TAG",
    "Batch",
    "DirectAccess",
    "FetchedModel",
    "ModelEntry",
    "Registration",
    "Registry",
    "RunRecord",
    "StoredVersion",
    "TrainingData",
    "tag_key",
]
