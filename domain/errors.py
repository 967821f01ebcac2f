"""The exceptions of Myriad.

MyriadError
 +-- FleetError          a fleet file that cannot be used
 +-- SourceError         raw input that cannot be read
 |    +-- NoFilesError         a source that has no file yet
 +-- PartitionError      segments that cannot be partitioned
 +-- EmptyWindowError    a metric over nothing
 +-- ExportError         a model that cannot be written as ONNX
 +-- InferenceError      a stored model that cannot be run
 +-- TrainingError       a training that failed as a whole
 +-- PromotionError      a promotion or rollback that cannot be done
 +-- ScoringError        a scoring job that cannot start
 +-- LakeError           a table that cannot be read or committed
 |    +-- StaleTableError      a commit that another writer overtook; decide again
 +-- DatabaseError       a database of the user's that cannot be read or written
 |    +-- DatabaseBusyError    one that is away or locked; the same may succeed later
 +-- ClusterError        workers that cannot be reached or that die during their work
 +-- BusyError           another run that trains or promotes the fleet
 +-- RegistryError       a model registry that cannot be used
 +-- OrchestratorError   a Prefect server or worker that cannot be started or reached
 +-- GatewayError        a gateway database that cannot be used
 |    +-- RecordError          a single record of it that cannot be read or written
 +-- SettingsError       settings that contradict each other
 +-- UnknownNameError    a name that is not in the lake
 +-- RequestError        a request that is impossible as stated
 |    +-- ContentTypeError     a body of a kind that is not accepted
 |    +-- InUseError           something to delete that others need
 |    +-- QuotaError           a limit of a client that is reached
 |    +-- SignatureError       a message whose signature does not hold

The failure of a single segment is never an exception: it is an outcome with a reason.
"""

__all__ = [
    "BusyError",
    "ClusterError",
    "ContentTypeError",
    "DatabaseBusyError",
    "DatabaseError",
    "EmptyWindowError",
    "ExportError",
    "FleetError",
    "GatewayError",
    "InUseError",
    "InferenceError",
    "LakeError",
    "MyriadError",
    "NoFilesError",
    "OrchestratorError",
    "PartitionError",
    "PromotionError",
    "QuotaError",
    "RecordError",
    "RegistryError",
    "RequestError",
    "ScoringError",
    "SettingsError",
    "SignatureError",
    "SourceError",
    "StaleTableError",
    "TrainingError",
    "UnknownNameError",
    "first_line",
]


class MyriadError(Exception):
    """Base of every error that Myriad raises deliberately; its message names the way out."""


class FleetError(MyriadError):
    """A fleet file is invalid; the message names the file, the key, the value and the allowed values."""


class SourceError(MyriadError):
    """Raw input cannot be found or read."""


class NoFilesError(SourceError):
    """A source has no file yet. Rows to score may come later; rows to train on may not."""


class PartitionError(MyriadError):
    """The segment columns do not yield a usable partition."""


class EmptyWindowError(MyriadError):
    """A metric was requested over a window without anything to measure."""


class ExportError(MyriadError):
    """A fitted model cannot be expressed as an ONNX graph, or the graph disagrees with it."""


class InferenceError(MyriadError):
    """A stored model cannot be run: ONNX Runtime refuses its graph or its features."""


class TrainingError(MyriadError):
    """A training failed as a whole, for instance because it exceeded `max_failed_share`."""


class PromotionError(MyriadError):
    """A promotion or a rollback cannot be carried out."""


class ScoringError(MyriadError):
    """A scoring job cannot be carried out."""


class LakeError(MyriadError):
    """A table of the lake is missing or damaged, or a commit to it failed."""


class StaleTableError(LakeError):
    """Another writer committed after a decision was made; make it again on the newer version of the table."""


class DatabaseError(MyriadError):
    """A database of the user's cannot be read or written; the message holds no password."""


class DatabaseBusyError(DatabaseError):
    """A database is away or locked, or broke a transaction off for another one; the same may succeed later."""


class BusyError(MyriadError):
    """Another run is training or promoting the fleet; the message names that run and the way out."""


class ClusterError(MyriadError):
    """The Dask scheduler is unreachable, its workers are unsuitable, or they die during their work."""


class RegistryError(MyriadError):
    """The model registry is unreachable or cannot be used as requested."""


class OrchestratorError(MyriadError):
    """A Prefect server or worker cannot be started, reached or stopped."""


class GatewayError(MyriadError):
    """The database that holds the gateway's jobs and API keys cannot be used."""


class RecordError(GatewayError):
    """A single record of the gateway's database cannot be read or written; the others can."""


class RequestError(MyriadError):
    """A request is impossible, for instance because of its date or table; the message names what is possible."""


class ContentTypeError(RequestError):
    """The body of a request is of a kind that is not accepted."""


class QuotaError(RequestError):
    """A client has as much with the gateway as it may; the message has figure, limit and setting."""


class InUseError(RequestError):
    """Something cannot be deleted while others need it."""


class SignatureError(RequestError):
    """The signature of a message does not hold, or is too old."""


class SettingsError(MyriadError):
    """Settings are missing or contradict each other."""


class UnknownNameError(MyriadError):
    """A fleet, segment, run or prediction is not in the lake; the message names the closest matches."""


def first_line(error: Exception | str) -> str:
    """Return the first line of another library's error; the rest is meant for that library's developers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
