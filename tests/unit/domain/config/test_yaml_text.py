"""YAML that is small and stands for very much."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from adapters.sources.fleet_files import load_fleet
from domain.config.yaml_text import MOST_BYTES, parse_yaml
from domain.errors import FleetError

ROOT = Path(__file__).parents[4]
LAUGHS = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
BOMBS = {
    "laughs": LAUGHS,
    "laughing keys": "a0: &a0 {x: y}\n"
    + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 40)),
    "merged": "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    "itself": "a: &a [*a, *a]\n",
    "brackets": "a: " + "[" * 100_000,
    "braces": "a: " + "{a: " * 50_000,
    "blocks": "".join(f"{' ' * n}a:\n" for n in range(600)),
    "dashes": "- " * 100_000,
    "many": "a: [" + "1, " * 80_000 + "1]\n",
    "long": "a: " + "x" * (MOST_BYTES + 10),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(name, tmp_path):
    (tmp_path / "bomb.yaml").write_text(BOMBS[name])
    began = time.process_time()
    with pytest.raises(FleetError, match=r"bomb\.yaml: not valid YAML: "):
        load_fleet("bomb.yaml", tmp_path)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little_memory(name, tmp_path):
    (tmp_path / "bomb.yaml").write_text(BOMBS[name])
    script = (
        "import sys, pathlib; from adapters.sources.fleet_files import load_fleet;"
        "used = lambda: int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]); before = used()\n"
        "try: load_fleet('bomb.yaml', pathlib.Path(sys.argv[1]))\n"
        "except Exception as exc: print(type(exc).__name__, used() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, cwd=ROOT, check=True
    )
    error, kilobytes = done.stdout.split()
    assert error == "FleetError"
    assert int(kilobytes) < 100 * 1024


def test_a_fleet_file_that_never_ends_is_refused(tmp_path):
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(FleetError, match="file system of the kernel"):
        load_fleet("zero.yaml", tmp_path)


def test_aliases_of_reasonable_size_work():
    text = "base: &base {format: csv}\none: *base\ntwo:\n  <<: *base\n  path: x\n"
    assert parse_yaml(text) == {
        "base": {"format": "csv"},
        "one": {"format": "csv"},
        "two": {"format": "csv", "path": "x"},
    }


def test_a_value_that_is_no_date_is_a_yaml_error():
    with pytest.raises(yaml.YAMLError, match="cannot be read"):
        parse_yaml("a: 2024-13-45")


@pytest.mark.parametrize(
    "value",
    [
        *("!!bool x", "!!int ''", "!!float ''", "!!timestamp x", "!!binary é", "!!omap [a]", "!!set [a]", "!!pairs a"),
        *("1:" * 400 + "1.5", "1:" * 100_000 + "1", "0x" + "f" * 50_000, "9" * 5_000, "1" * 401 + ".5"),
        "2024-01-01T00:00:00+99:99",
    ],
    ids=lambda value: value[:20],
)
def test_a_value_that_does_not_fit_its_tag_is_a_yaml_error_at_once(value):
    began = time.process_time()
    with pytest.raises(yaml.YAMLError):
        parse_yaml(f"a: {value}")
    assert time.process_time() - began < 1


def test_numbers_of_usual_length_work():
    assert parse_yaml("[12, 1_000, 0x1F, 1:30, 1.5, .inf, -1e3, 1:30.5]") == [
        *(12, 1000, 31, 90, 1.5, float("inf")),
        *("-1e3", 90.5),
    ]
