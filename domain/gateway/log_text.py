"""Lines of a run's log, made fit for clients who are not to know the machine."""

import re

__all__ = ["without_places"]

_ADDRESS = re.compile(r"\b((?!s3)[a-z][a-z0-9+.-]*)://[^\s/'\")\],;]*[^\s/'\")\],;:.]")
_FOLDER = re.compile(r"(?<![\w.:/…-])/(?:[^\s/'\":,;()\[\]]+/)+")
_NUMERIC = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")

_TRACEBACK = "Traceback (most recent call last):"


def without_places(text: str) -> str:
    """Return the text without folders of the machine, hosts and accounts of addresses, and the code of a traceback.

    Names of files stay, and so do s3:// uris, which clients give and get; of a traceback, its last line does.
    """
    before, trace, code = text.partition(_TRACEBACK)
    if trace:
        error = [line for line in code.splitlines() if line.strip()][-1:]
        text = "\n".join([before.rstrip(), *error]).strip()
    text = _ADDRESS.sub(r"\1://…", text)
    return _NUMERIC.sub("…", _FOLDER.sub("…/", text))
