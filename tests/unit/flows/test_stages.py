"""A stage is one entry of a list, from which pipeline, deployments, prefect.yaml and commands are made."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect import flow

from adapters.orchestration.cadence import Cadence
from flows import deployments, prefect_yaml, stage_runner, stages
from flows.bodies import run_stages
from flows.stages import STAGES, Operation, PipelineState, Stage, commands

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Audited:
    rows: int


@flow(name="audit")
def audit(fleet: str, lake: str | None = None, run_id: str | None = None) -> Audited:
    """Look at the predictions once more."""
    return Audited(7)


AUDIT = Stage(
    "audit",
    lambda summary: summary.rows,
    lambda state: Audited(state.results["accuracy"].rows + 2),
    Operation(f"{__name__}:audit", Cadence("daily", "0 7 * * *"), "ENQUEUE", note="After accuracy."),
    as_flow=False,
    command="audit",
)


@pytest.fixture
def with_audit(monkeypatch):
    """One more stage, by one more entry."""
    longer = (*STAGES, AUDIT)
    for module in (stages, run_stages, deployments):
        monkeypatch.setattr(module, "STAGES", longer)
    return longer


def test_the_file_for_prefect_is_fresh():
    told = "run .venv/bin/python -m flows.prefect_yaml"
    assert prefect_yaml.TARGET.read_text("utf-8") == prefect_yaml.prefect_yaml(), told


def test_stages_are_in_the_order_in_which_each_needs_the_ones_before():
    assert [stage.name for stage in STAGES] == [
        *("ingest", "partition", "plan", "train", "register", "promote", "score", "accuracy", "evaluate")
    ]


def test_every_stage_of_a_flow_is_described_in_the_architecture():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    described = {name for row in re.findall(r"^\| ([a-z, ]+) \|", text, flags=re.MULTILINE) for name in row.split(", ")}
    assert {stage.name for stage in STAGES if stage.operation} <= described


def test_a_new_entry_is_a_stage_everywhere(with_audit):
    assert "audit/shop" in [deployment.label for deployment in deployments.deployments_of("shop", "shop")]
    text = prefect_yaml.prefect_yaml()
    assert "    audit: &audit\n      # After accuracy.\n      entrypoint: " in text
    assert "- <<: [*audit, *m3]\n" in text
    assert [stage.name for stage in commands()["audit"]] == ["audit"]


def test_a_pipeline_runs_a_new_stage_with_the_results_of_those_before_it(with_audit):
    state = PipelineState(SimpleNamespace(), ("shop", None, "run-1"), {"accuracy": Audited(40)})
    assert run_stages._timed(with_audit[-1], state).rows == 42
    assert state.results["audit"] == Audited(42)


def test_a_stage_runs_as_a_flow_only_where_it_is_recorded():
    plain = Stage("plain", lambda result: result, lambda state: "step", Operation(f"{__name__}:audit"))
    arguments = ("shop", "lake", "run-1")
    assert plain.run(PipelineState(SimpleNamespace(), arguments, recorded=False)) == "step"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Operation, "flow", lambda *words: words)
        assert plain.run(PipelineState(SimpleNamespace(), arguments))[1:] == arguments


def test_the_command_train_registers_too():
    assert {name: [stage.name for stage in found] for name, found in commands().items()} == {
        "ingest": ["ingest"],
        "partition": ["partition"],
        "train": ["train", "register"],
        "promote": ["promote"],
    }
    assert stage_runner.commands is commands
