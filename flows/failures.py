"""Messages for errors of files and of Prefect that a run may meet; everything else keeps its traceback."""

import errno

__all__ = ["explain_failure"]

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def explain_failure(exc: Exception) -> str | None:
    """Explain an error that is neither Myriad's nor a defect; None for any other."""
    return _folder_message(exc) or _prefect_message(exc)


def _folder_message(exc: Exception) -> str | None:
    """Explain that a file or folder of the home cannot be written; None for any other error."""
    if not (isinstance(exc, OSError) and exc.errno in _UNWRITABLE and exc.filename):
        return None
    return f"{exc.filename}: {exc.strerror}; nothing half-written is visible. Make room, or set MYRIAD_HOME elsewhere"


def _prefect_message(exc: Exception) -> str | None:
    """Explain that Prefect's server did not start or went away; None for any other error."""
    import httpx

    if str(exc).startswith("Failed to reach API at"):
        # PREFECT_API_URL was checked before the run; this server is named elsewhere.
        return f"Prefect: {exc}, which a profile or prefect.toml names; start it, or run with PREFECT_API_URL= (empty)"
    if not (isinstance(exc, httpx.TransportError) or "ephemeral Prefect API server" in str(exc)):
        return None
    return (
        f"Prefect's server does not answer: {exc}; nothing half-written is visible. Run the same command again, or "
        "start a permanent server: myriad up"
    )
