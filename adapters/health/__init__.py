"""Health checks of all configured parts for `myriad doctor`, and a cheap subset before every run."""

from adapters.health.examination import examine
from adapters.health.preflight import preflight
from adapters.health.servers import check_prefect, check_tracking_server

__all__ = ["check_prefect", "check_tracking_server", "examine", "preflight"]
