"""The notebook of the documents runs from its first cell to its last in a Jupyter kernel, which has an event loop."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
# Sockets in a folder instead of ports: what the kernel is told and answers is nobody else's.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
from traitlets.config import Config
source, home = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
config = Config({"KernelManager": {"transport": "ipc", "ip": f"{home}/socket"}})
NotebookClient(notebook, config=config, timeout=500, resources={"metadata": {"path": home}}).execute()
nbformat.write(notebook, f"{home}/executed.ipynb")
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook with its outputs, run in a folder of its own."""
    home = tmp_path_factory.mktemp("notebook")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MYRIAD_", "PREFECT_"))}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home / "run"),
    }
    # In a process of its own: what the client leaves open must not trouble the tests that follow.
    subprocess.run([sys.executable, "-c", EXECUTE, NOTEBOOK, home], env=environment, cwd=home, check=True, timeout=550)
    return nbformat.read(home / "executed.ipynb", as_version=4), home


def outputs(notebook, source):
    """Outputs of the cell that holds some source, as one text."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and source in cell.source]
    return "\n".join(str(output) for output in cell.outputs)


def test_the_stored_notebook_has_no_outputs():
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert [cell for cell in stored.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_progress_is_a_table_that_changes_in_place(executed):
    notebook, _ = executed
    text = outputs(notebook, "fleet.run()")
    assert text.count("myriad-progress") == 1
    assert "train" in text
    assert "2 of 2" in text


def test_frames_pictures_and_pages_show_inline(executed):
    notebook, _ = executed
    assert "prediction" in outputs(notebook, "fleet.forecasts()")
    assert "image/svg+xml" in outputs(notebook, 'fleet.plot("1/amber")')
    assert "<iframe sandbox=" in outputs(notebook, "fleet.report()")
    assert "candidates" in outputs(notebook, "fleet.explain")
    assert re.search(r"closest: store=1/brand=amber", outputs(notebook, "1/ambre"))


def test_a_kernel_leaves_no_process_behind(executed):
    _, home = executed
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MYRIAD_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process.cmdline())
        except psutil.Error:
            continue
    assert left == []
