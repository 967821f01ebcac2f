"""Health checks of all configured parts for `myriad doctor`, and a cheap subset before every run.

`examination` and `servers` are public too; they import what they check, so users import them where they need them.
"""

from adapters.health.preflight import preflight

__all__ = ["preflight"]
