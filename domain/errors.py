"""The exceptions of Myriad.

MyriadError
 +-- FleetError          a fleet file that cannot be used
 +-- SourceError         raw input that cannot be read
 +-- PartitionError      segments that cannot be partitioned
 +-- EmptyWindowError    a metric over nothing
 +-- ExportError         a model that cannot be written as ONNX
 +-- TrainingError       a training that failed as a whole
 +-- PromotionError      a promotion or rollback that cannot be done
 +-- ScoringError        a scoring job that cannot start
 +-- LakeError           a table that cannot be read or committed
 |    +-- StaleTableError      another writer came first; decide again
 +-- ClusterError        workers that cannot be reached or that die over their work
 +-- BusyError           another run of the fleet is at work
 +-- RegistryError       a model registry that cannot be used
 +-- OrchestratorError   a Prefect server or worker that cannot be started or reached
 +-- GatewayError        the gateway's own database that cannot be used
 +-- SettingsError       settings that contradict each other
 +-- UnknownNameError    a name that the lake does not know
 +-- RequestError        a request that cannot be fulfilled as it is worded

A failure of one segment is never an exception: it is an outcome with a reason.
"""

__all__ = [
    "BusyError",
    "ClusterError",
    "EmptyWindowError",
    "ExportError",
    "FleetError",
    "GatewayError",
    "LakeError",
    "MyriadError",
    "OrchestratorError",
    "PartitionError",
    "PromotionError",
    "RegistryError",
    "RequestError",
    "ScoringError",
    "SettingsError",
    "SourceError",
    "StaleTableError",
    "TrainingError",
    "UnknownNameError",
    "first_line",
]


class MyriadError(Exception):
    """Base of every error that Myriad raises on purpose; its text says what to do."""


class FleetError(MyriadError):
    """A fleet file is wrong: names the file, the key, the value and what is allowed."""


class SourceError(MyriadError):
    """Raw input cannot be found or read."""


class PartitionError(MyriadError):
    """The segment columns do not give a usable partition."""


class EmptyWindowError(MyriadError):
    """A metric was asked for over a window that holds nothing to measure."""


class ExportError(MyriadError):
    """A fitted model cannot be expressed as an ONNX graph, or the graph disagrees with it."""


class TrainingError(MyriadError):
    """A training failed as a whole, for instance past `max_failed_share`."""


class PromotionError(MyriadError):
    """A promotion or a rollback cannot be carried out."""


class ScoringError(MyriadError):
    """A scoring job cannot be carried out."""


class LakeError(MyriadError):
    """A table of the lake is missing, damaged or could not be committed."""


class StaleTableError(LakeError):
    """Another writer committed since a decision was taken; take it again on the newer table."""


class BusyError(MyriadError):
    """Another run trains or promotes the fleet; names it, and says what to do."""


class ClusterError(MyriadError):
    """The Dask scheduler cannot be reached, its workers do not fit, or they die over their work."""


class RegistryError(MyriadError):
    """The model registry cannot be reached or used as asked."""


class OrchestratorError(MyriadError):
    """A Prefect server or worker cannot be started, reached or stopped."""


class GatewayError(MyriadError):
    """The database that the gateway keeps its jobs and keys in cannot be used."""


class RequestError(MyriadError):
    """What was asked for is not possible, such as a date or a table; names what is."""


class SettingsError(MyriadError):
    """Settings are missing or contradict each other."""


class UnknownNameError(MyriadError):
    """A fleet, segment, run or prediction that the lake does not know; names those that come closest."""


def first_line(error: Exception) -> str:
    """What foreign code says first: the rest of its texts is for its own developers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
