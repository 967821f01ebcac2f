"""A run in a process of its own: this module is what `myriad.runs` starts.

A notebook has an event loop, keeps its process for days, and is interrupted at any time. Prefect and Dask change the
environment, start servers and leave threads behind. So they work in a process that ends with the run.
"""

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from adapters.compute.interrupts import leaving_on_interrupt
from adapters.compute.progress import Progress, subscribed
from domain.data.jsonable import to_jsonable
from domain.errors import MyriadError, OrchestratorError

__all__ = ["main"]

ACTIONS = frozenset({"run_all", "run_commands", "score_fleet", "measure_accuracy", "roll_back", "pin_segment"})


def main(descriptor: int) -> None:
    """Take one call from the parent, do it, and send its progress and its end.

    descriptor : of the connection to the parent; if that closes, this process ends with all that it has started.
    """
    connection = Connection(descriptor)
    sending = threading.Lock()

    def send(kind: str, *values: object) -> None:
        with sending:
            connection.send((kind, *values))

    def forward(progress: Progress) -> None:
        send("progress", progress.stage, progress.done, progress.total, progress.note)

    action, arguments, options = connection.recv()
    with leaving_on_interrupt("interrupted"), subscribed(forward):
        threading.Thread(target=_end_with_parent, args=(connection,), name="parent", daemon=True).start()
        try:
            send("result", _act(action, arguments, options))
        except MyriadError as exc:
            send("error", _plain(exc), "")
        except Exception as exc:  # noqa: BLE001 - raised again in the parent
            from flows.failures import explain_failure

            message = explain_failure(exc)
            error = OrchestratorError(message) if message else exc
            send("error", _plain(error), "" if message else traceback.format_exc())


def _act(action: str, arguments: tuple[object, ...], options: dict[str, object]) -> object:
    """Call a function of `flows.actions`, and return its result as plain values that need no class to be read."""
    from flows import actions

    if action not in ACTIONS:
        raise ValueError(f"action {action!r}: not one of {', '.join(sorted(ACTIONS))}")
    result = getattr(actions, action)(*arguments, **options)
    if action == "run_all":
        return {"run_id": result.run_id, "report": str(result.report)}
    if hasattr(result, "gates"):
        from flows.stage_runner import document

        result = document(result)
    return to_jsonable(result)


def _plain(error: Exception) -> Exception:
    """Return an error that the parent can read: without causes, of a class that pickles."""
    message = str(error)
    try:
        copy = type(error)(message)
    except Exception:  # noqa: BLE001 - a class with another constructor
        return RuntimeError(f"{type(error).__name__}: {message}")
    return copy if type(error).__module__.partition(".")[0] in ("domain", "builtins") else RuntimeError(repr(error))


def _end_with_parent(connection: Connection) -> None:
    """End this process and its own when nobody waits for the result any more."""
    try:
        connection.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
