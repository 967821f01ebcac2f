"""What a command imports, and how soon it says something."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from shop import DEAD

from cli import first_line
from tasks.score import score_fleet

ROOT = Path(__file__).parents[3]
HEAVY = [
    "prefect",
    "mlflow",
    "dask",
    "distributed",
    "onnxruntime",
    "pandas",
    "scipy",
    "sklearn",
    "lightgbm",
    "httpx",
    "tenacity",
    "sqlalchemy",
]


@pytest.fixture
def shop_lake(trained):
    """The lake of the shop, with its first predictions."""
    score_fleet(trained.run())
    return trained.folder / "lake"


def imports_of(words, tmp_path, **places):
    """Heavy modules that a command has imported by its end."""
    code = (
        f"import sys, cli.main; sys.argv = ['myriad', *{words!r}]\n"
        "try: cli.main.main()\nexcept SystemExit as done: assert done.code in (0, None), done.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = os.environ | {"MYRIAD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **places}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "words", [["status"], ["status", "shop"], ["status", "shop", "--segments"], ["explain", "shop", DEAD]]
)
def test_a_command_that_only_looks_imports_nothing_heavy(words, shop_lake, tmp_path):
    assert imports_of(words, tmp_path, MYRIAD_LAKE=str(shop_lake)) == "[]"


def test_the_first_line_needs_only_the_standard_library():
    code = "import sys; before = set(sys.modules); import cli.main; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - sys.stdlib_module_names == {"cli"}


@pytest.mark.parametrize(
    ("words", "out", "err"),
    [
        (["run", "shop"], "   0.0 s  starting\n", ""),
        (["score", "shop", "--json"], "", "   0.0 s  starting\n"),
        (["run", "--help"], "", ""),
        (["pin", "shop", "--list"], "", ""),
        (["status", "shop"], "", ""),
        ([], "", ""),
    ],
)
def test_only_what_works_begins_with_a_line_where_nobody_looks(words, out, err, capfd):
    first_line.show(words)
    assert capfd.readouterr() == (out, err)


def test_in_a_terminal_the_first_line_is_erased_by_the_first_output(tmp_path):
    parent, child = pty.openpty()
    environment = os.environ | {"MYRIAD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "status"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=child, stderr=child)
    os.close(child)
    process.wait()
    output = os.read(parent, 65536).decode()
    os.close(parent)
    assert output.startswith("reading ...\r\x1b[Kno fleets in")
    assert output.count("\x1b[K") == 1


@pytest.mark.parametrize(
    ("statement", "code"), [("sys.exit(2)", 2), ("sys.exit()", 0), ("sys.exit('no')", 1), ("1 / 0", 1), ("pass", 0)]
)
def test_the_quick_end_keeps_exit_code_output_and_handlers(statement, code):
    script = (
        "import atexit, sys, cli.main\n"
        "def run():\n"
        "    atexit.register(print, 'handler')\n"
        f"    print('output'); {statement}\n"
        "cli.main._run = run; sys.argv = ['myriad']; cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "output\nhandler\n")
    assert ("ZeroDivisionError" in done.stderr) == ("/" in statement)
