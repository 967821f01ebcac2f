"""The model registry (MLflow): one registered model a segment, one version a change, aliases for releases."""

from adapters.registry._behind import Behind
from adapters.registry._entries import FINGERPRINT_TAG, Batch, FetchedModel, ModelEntry, Registration, StoredVersion
from adapters.registry._registry import Registry

__all__ = [
    "FINGERPRINT_TAG",
    "Batch",
    "Behind",
    "FetchedModel",
    "ModelEntry",
    "Registration",
    "Registry",
    "StoredVersion",
]
