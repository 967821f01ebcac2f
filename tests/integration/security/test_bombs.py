"""Small files that decode to very much: each is refused at little cost, by each way in which it is met."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from bombs import BOMBS

ROOT = Path(__file__).parents[3]
WAYS = ("names", "check", "new", "ingest")
MOST_SECONDS = 3.0
"""Of CPU; two on an idle machine, since caches and clock are shared with neighbours."""
MOST_MIB = {"medium.parquet": 400.0, "small.parquet": 400.0}
"""MiB above a harmless file; 300 for all others."""
MOST_ANSWER = 1_500
NO_REFUSAL = {"broken-long.csv"}
"""Files whose rows are taken in, or set aside."""
NO_BOMBS = {"short-rows.csv", "good-rows.csv"}
"""Files of tens of millions of rows, which cost what those cost."""


@pytest.fixture(scope="module")
def meet(tmp_path_factory):
    """Meet a file in a process of its own; returns seconds of CPU, MiB, length of the answer, the answer."""
    folder = tmp_path_factory.mktemp("bombs")
    command = [sys.executable, ROOT / "tests/support/bombs.py", folder]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def meet_file(way, name):
        if not (folder / name).exists():
            BOMBS[name](folder / name)
        process.stdin.write(f"{way} {name}\n")
        process.stdin.flush()
        seconds, mib, length, answer = process.stdout.readline().split(" ", 3)
        return float(seconds), float(mib), int(length), ast.literal_eval(answer)

    yield meet_file
    process.communicate(timeout=30)


@pytest.mark.parametrize("name", sorted(BOMBS.keys() - NO_BOMBS))
def test_a_bomb_costs_little_and_its_answer_is_short(meet, name):
    for way in WAYS:
        seconds, mib, length, answer = meet(way, name)
        assert seconds < MOST_SECONDS, way
        assert mib < MOST_MIB.get(name, 300.0), way
        assert length < MOST_ANSWER, way
        assert not answer.startswith(("MemoryError", "Error", "RecursionError")), (way, answer)
    if name not in NO_REFUSAL:
        assert name in answer, "the ingest refuses it by name"
