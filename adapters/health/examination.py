"""All checks of a set-up, every part in a thread of its own with a limit of time."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

from adapters.health import probes as _parts
from adapters.settings import Settings
from domain.checks.health import Check
from domain.errors import MyriadError

__all__ = ["examine"]

_LIMIT_S = 20.0
Probe = Callable[[Settings], Iterator[Check]]
_PROBES: tuple[tuple[str, Probe], ...] = (
    ("packages", _parts.packages),
    ("lake", _parts.lake),
    ("registry", _parts.registry),
    ("prefect", _parts.prefect),
    ("workers", _parts.workers),
    ("telemetry", _parts.telemetry),
)


def examine(settings: Settings, limit_s: float = _LIMIT_S) -> list[Check]:
    """Checks by part, in a fixed order. No check stops another, and none takes longer than `limit_s` seconds."""
    answers: queue.Queue[tuple[str, Check | None]] = queue.Queue()
    for part, probe in _PROBES:
        # Daemons: one that hangs must not keep the process.
        threading.Thread(target=_collect, args=(part, probe, settings, answers), name=part, daemon=True).start()
    found: dict[str, list[Check]] = {part: [] for part, _ in _PROBES}
    missing, end = set(found), time.monotonic() + limit_s
    while missing:
        try:
            part, check = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if check is None:
            missing.discard(part)
        else:
            found[part].append(check)
    for part in missing:
        late = Check(
            part, "time", "failed", f"no answer within {limit_s:.0f} s", "look whether it is overloaded or cut off"
        )
        found[part].append(late)
    return [check for checks in found.values() for check in checks]


def _collect(part: str, probe: Probe, settings: Settings, answers: "queue.Queue[tuple[str, Check | None]]") -> None:
    try:
        for check in probe(settings):
            answers.put((part, check))
    except MyriadError as exc:
        error, _, way_out = str(exc).rpartition("; ")
        answers.put((part, Check(part, "reachable", "failed", error or way_out, way_out if error else "")))
    except Exception as exc:  # noqa: BLE001 - foreign code; an examination tells of what it meets
        answers.put((part, Check(part, "examined", "failed", f"{type(exc).__name__}: {exc}", "this is not expected")))
    finally:
        answers.put((part, None))
