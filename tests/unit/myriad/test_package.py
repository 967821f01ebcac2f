"""`import myriad` costs next to nothing, and names what there is."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import myriad

ROOT = Path(__file__).parents[3]
HEAVY = ("pandas", "numpy", "pyarrow", "prefect", "mlflow", "dask", "distributed", "pydantic", "httpx", "deltalake")


def loaded_by(code):
    """Heavy modules in a new process after some code."""
    program = f"import sys\n{code}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_import_loads_nothing_heavy():
    assert loaded_by("import myriad; dir(myriad)") == "[]"


def test_a_fleet_needs_neither_prefect_nor_mlflow():
    loaded = loaded_by("import myriad; myriad.Fleet")
    assert not {"prefect", "mlflow", "dask", "distributed", "httpx"} & set(loaded.strip("[]'").split("', '"))


def test_neither_the_command_line_nor_its_library_is_imported():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "myriad").rglob("*.py")]
    assert sources
    assert not [text for text in sources if "import typer" in text or "from cli" in text or "import cli" in text]


def test_every_public_name_is_there():
    assert all(getattr(myriad, name).__name__ == name for name in myriad.__all__)
    assert set(myriad.__all__) <= set(dir(myriad))


def test_an_unknown_name_is_told_with_those_that_exist():
    with pytest.raises(AttributeError, match=r"no attribute 'Fleets'; it has .*Fleet"):
        myriad.Fleets  # noqa: B018 - the access is the test


def test_a_module_of_the_user_that_hides_ours_is_named(tmp_path):
    (tmp_path / "models.py").write_text("")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = "import myriad; myriad.Fleet"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert f"{tmp_path / 'models.py'} hides Myriad's package models; rename it" in done.stderr


def public(kind):
    """Names of what a class offers, with its parameters."""
    return {name: value for name, value in vars(kind).items() if not name.startswith("_") and inspect.isfunction(value)}


def documented(heading):
    """Method -> parameters, from the first column of the tables below a heading of docs/python.md."""
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    calls = re.findall(r"`(\w+)\((.*?)\)`", " ".join(cells))
    return {
        name: sorted(part.partition("=")[0].strip() for part in inside.replace("()", "").split(",") if part)
        for name, inside in calls
    }


@pytest.mark.parametrize(("heading", "name"), [("Methods", "Fleet"), ("A gateway", "Client")])
def test_the_table_of_methods_has_each_with_its_parameters(heading, name):
    parameters = {
        method: sorted(part for part in inspect.signature(value).parameters if part != "self")
        for method, value in public(getattr(myriad, name)).items()
    }
    assert documented(heading) == parameters
