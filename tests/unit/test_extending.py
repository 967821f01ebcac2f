"""The examples of docs/extending.md do what the page says."""

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from kit import series_of
from shop import shop

from adapters.gateway import schema
from adapters.gateway.store import GatewayStore
from domain.config.candidates import CANDIDATES
from domain.config.gates import Gates
from domain.config.task_types import TASK_TYPES
from domain.errors import FleetError
from flows import deployments, prefect_yaml, stages
from flows.bodies import run_stages
from models.features.feature_spec import feature_spec_of
from models.promotion import gates
from models.promotion.gates import Evidence
from models.training.forecast import train_forecast

ROOT = Path(__file__).parents[2]


def blocks(title):
    """Code of a section's examples, in order."""
    text = (ROOT / "docs" / "extending.md").read_text("utf-8")
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)


def names(code):
    space = {"__name__": "example"}
    exec(code, space)
    return space


def test_a_candidate(monkeypatch):
    module, entry = blocks("A candidate")
    example = ModuleType("models.smoothing.drift")
    exec(module, example.__dict__)
    monkeypatch.setitem(sys.modules, "models.smoothing.drift", example)
    monkeypatch.setitem(CANDIDATES, "drift", names(entry)["drift"])
    fleet = shop(candidates=["drift"], features={})
    (result,) = train_forecast(series_of(5.0 + 2.0 * np.arange(40.0), season=1), fleet, feature_spec_of(fleet, {}))
    assert (result.candidate, result.failed) == ("drift", False)
    assert result.error == pytest.approx(0.0, abs=1e-6), "a line is forecast without an error"


def test_a_gate(monkeypatch):
    (code,) = blocks("A gate")
    monkeypatch.setattr(gates, "GATES", (*gates.GATES, names(code)["leak"]))

    def held(error):
        evidence = Evidence("a", error, 1.0, 0.0, 100, 1.0, 50, 10, "new")
        found = list(gates.verdicts(evidence, Gates()))
        return gates.decide(evidence, found), [verdict.gate for verdict in found if not verdict.passed]

    assert held(0.5) == ("promote", [])
    assert held(0.0) == ("hold", ["leak"])


def test_a_task_type(monkeypatch):
    kind, bound = blocks("A task type")
    monkeypatch.setitem(TASK_TYPES, "classification", names(kind)["ClassificationTask"]())
    told = re.search(r"# FleetError: (.*)", bound)[1]
    with pytest.raises(FleetError, match=f"^{re.escape(told)}$"):
        names(bound)
    problems = TASK_TYPES["classification"].contradictions(SimpleNamespace(horizon=3))
    assert list(problems) == ["horizon: 3 is not allowed; task classification has none"]


def test_a_stage(monkeypatch):
    (code,) = blocks("A stage")
    found = names(code)
    stage = found["stage"]
    monkeypatch.setitem(sys.modules, "flows.audit", SimpleNamespace(audit=found["audit"]))
    for module in (stages, run_stages, deployments):
        monkeypatch.setattr(module, "STAGES", (*stages.STAGES, stage))
    assert "audit/shop" in [deployment.label for deployment in deployments.deployments_of("shop", "shop")]
    assert "    audit: &audit\n" in prefect_yaml.prefect_yaml()
    assert [found.name for found in stages.commands()["audit"]] == ["audit"]


def test_a_gateway_aggregate(monkeypatch, tmp_path):
    migration, repository = blocks("A gateway aggregate")
    url = f"sqlite:///{tmp_path}/gateway.db"
    GatewayStore(url).close()
    shutil.copytree(Path(schema.__file__).with_name("migrations"), tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "r0003_notes.py").write_text(migration, "utf-8")
    monkeypatch.setattr(schema, "_MIGRATIONS", tmp_path / "migrations")
    monkeypatch.setattr(schema, "HEAD", "0003")
    store = GatewayStore(url)
    notes = names(repository)["NoteRepository"](store.database)
    notes.put("hello", "first")
    notes.put("hello", "second")
    assert notes.all() == {"hello": "second"}
    store.close()
