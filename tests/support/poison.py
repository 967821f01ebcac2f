"""Readers of raw files that die by SIGKILL, in the place of the real one on Dask workers."""

import os
import signal
from pathlib import Path

from tasks.workers import isolated_ingest
from tasks.workers.ingest import ingest_file


def fatal_ingest(context, role, source, file):
    """Die over every file named `poison`, and once over one named `unlucky`, as if its host were lost."""
    name = Path(file.uri).name
    deaths = context.home / "deaths"
    seen = deaths.read_text() if deaths.exists() else ""
    if "poison" in name or ("unlucky" in name and "unlucky" not in seen):
        with deaths.open("a") as log:
            log.write(f"{name}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return ingest_file(context, role, source, file)


def ingest_with_deaths(context, role, source, file):
    isolated_ingest.ingest_file = fatal_ingest
    return isolated_ingest.ingest_once(context, role, source, file)
