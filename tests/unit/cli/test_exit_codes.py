"""Exit codes are those that docs/commands.md and every help name."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from shop import shop
from typer.testing import CliRunner

from cli.app import EXIT_CODES, app

ROOT = Path(__file__).parents[3]
DOCUMENTED = {0: "done", 1: "failed", 2: "unusable", 130: "Ctrl-C", 143: "SIGTERM", 129: "SIGHUP"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "shop.yaml").write_text(yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYRIAD_HOME", raising=False)
    return tmp_path


def test_every_code_is_documented():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    line = re.search(r"^Exit codes: (.*?)\n\n", text, re.DOTALL | re.MULTILINE)[1]
    assert {int(code) for code in re.findall(r"\b\d+\b", line)} == set(DOCUMENTED)
    assert {int(code) for code in re.findall(r"\b\d+\b", EXIT_CODES)} <= set(DOCUMENTED)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["status"], 0),
        (["rollback", "shop.yaml", "--to", "9"], 1),
        (["check", "shop.yaml"], 2),
        (["status", "nope"], 2),
        (["run", "shop.yaml"], 2),
        (["status", "--nope"], 2),
        (["export", "shop.yaml", "forecasts"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_command_ends_with_its_code(project, words, code, monkeypatch):
    monkeypatch.setattr("flows.actions.prepare_flows", lambda: pytest.fail("nothing of this needs Prefect"))
    assert CliRunner().invoke(app, words).exit_code == code


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_code(sent):
    code = (
        "import time; from cli.common import interruptible\n"
        "with interruptible():\n    print('here', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    began = time.monotonic()
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == 128 + sent
    assert time.monotonic() - began < 30
