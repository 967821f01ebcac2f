"""Whether all parts that the settings name can be used: for `myriad doctor`, and the cheap part before every run."""

from adapters.health.examination import examine
from adapters.health.preflight import preflight
from adapters.health.servers import check_prefect, check_tracking_server

__all__ = ["check_prefect", "check_tracking_server", "examine", "preflight"]
