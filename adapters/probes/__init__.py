"""Whether all parts that the settings name can be used: for `myriad doctor`, and the cheap part before every run."""

from adapters.probes._examine import examine
from adapters.probes._preflight import preflight
from adapters.probes._servers import check_prefect, check_tracking_server

__all__ = ["check_prefect", "check_tracking_server", "examine", "preflight"]
