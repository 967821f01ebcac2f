"""Lines of a run's log, made fit for clients who are not to know the machine."""

import re

__all__ = ["without_places"]

_ADDRESS = re.compile(r"\b((?!s3)[a-z][a-z0-9+.-]*)://[^\s/'\")\],;]*[^\s/'\")\],;:.]")
_FOLDER = re.compile(r"(?<![\w.:/…-])/(?:[^\s/'\":,;()\[\]]+/)+")
_NUMERIC = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")


def without_places(text: str) -> str:
    """Return the text without folders of the machine, and without hosts and accounts of addresses.

    Names of files stay, and so do s3:// uris, which clients give and get.
    """
    text = _ADDRESS.sub(r"\1://…", text)
    return _NUMERIC.sub("…", _FOLDER.sub("…/", text))
