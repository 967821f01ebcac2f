"""Run all checks of an installation, each part in its own thread with a time limit."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from adapters.health import probes
from adapters.health.models import models
from adapters.health.security import SECURITY_PROBES
from adapters.settings import Settings
from domain.checks.health import Check
from domain.errors import MyriadError

__all__ = ["examine"]

_LIMIT_S = 20.0
Probe = Callable[[Settings], Iterator[Check]]
_PROBES: tuple[tuple[str, Probe], ...] = (
    ("packages", probes.packages),
    ("lake", probes.lake),
    ("registry", probes.registry),
    ("models", models),
    ("prefect", probes.prefect),
    ("workers", probes.workers),
    ("telemetry", probes.telemetry),
)


def examine(
    settings: Settings,
    limit_s: float = _LIMIT_S,
    *,
    security: bool = False,
    tell: Callable[[Check], None] = lambda check: None,
) -> list[Check]:
    """Return the checks by part, in a fixed order; parts are independent and limited to `limit_s` seconds together.

    security : look for what is open that should not be, instead of whether every part can be used.
    tell : called with each check as it comes.
    """
    selected = SECURITY_PROBES if security else _PROBES
    answers: queue.Queue[tuple[str, Check | None]] = queue.Queue()
    for part, probe in selected:
        # Daemon threads: a hanging probe must not block the exit of the process.
        threading.Thread(target=_collect, args=(part, probe, settings, answers), name=part, daemon=True).start()
    checks: dict[str, list[Check]] = {part: [] for part, _ in selected}
    missing, end = set(checks), time.monotonic() + limit_s
    while missing:
        try:
            part, check = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if check is None:
            missing.discard(part)
        else:
            checks[part].append(check)
            tell(check)
    for part in missing:
        late = Check(
            part, "time", "failed", f"no answer within {limit_s:.0f} s", "look whether it is overloaded or cut off"
        )
        checks[part].append(late)
        tell(late)
    return [check for of_part in checks.values() for check in of_part]


def _collect(part: str, probe: Probe, settings: Settings, answers: "queue.Queue[tuple[str, Check | None]]") -> None:
    try:
        for check in probe(settings):
            answers.put((part, check))
    except MyriadError as exc:
        error, _, way_out = str(exc).rpartition("; ")
        answers.put((part, Check(part, "reachable", "failed", error or way_out, way_out if error else "")))
    except Exception as exc:  # noqa: BLE001 - third-party code; any failure becomes a check
        answers.put((part, Check(part, "examined", "failed", f"{type(exc).__name__}: {exc}", "this is not expected")))
    finally:
        answers.put((part, None))
