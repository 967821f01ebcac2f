"""A task type is one strategy: nothing treats one that it does not know as another one."""

import importlib
import pkgutil
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import models
import tasks
from domain.config.fleet import Fleet, parse_fleet
from domain.config.task_types import TASK_TYPES, ForecastTask, RegressionTask, TaskBindings, TaskType, task_type
from domain.errors import FleetError

ROOT = Path(__file__).parents[4]
CODE = ("domain", "models", "adapters", "tasks", "flows", "serving", "cli")


class RankingTask(TaskType):
    """A third task type, as somebody might add it."""

    name, summary = "ranking", "an order of rows"
    periodic, outcome, absolute_loss = False, "ranks", False

    def contradictions(self, fleet):
        if fleet.horizon is not None:
            yield "horizon: task ranking has none"


@pytest.fixture
def ranking(monkeypatch):
    monkeypatch.setitem(TASK_TYPES, "ranking", RankingTask())


def every_binding():
    for package in (models, tasks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return TaskBindings.every


def test_every_layer_has_bindings_for_every_task_type():
    bindings = {binding.role: binding.names for binding in every_binding()}
    assert set(bindings.values()) == {frozenset(TASK_TYPES)}, bindings
    assert {"trainer", "feature spec", "scorer", "evaluator"} <= bindings.keys()


def test_a_task_type_that_lacks_a_binding_is_refused_by_name(ranking):
    for binding in every_binding():
        with pytest.raises(FleetError, match=f"task ranking: it has no {binding.role}; task types with one: forecast"):
            binding["ranking"]


def test_a_fleet_file_may_name_every_task_type_and_no_other(fleet, ranking):
    content = fleet.regression().model_dump(mode="json", exclude_defaults=True)
    own = [{"name": "mine", "estimator": "sklearn.linear_model.Ridge"}]
    parsed = parse_fleet(content | {"task": "ranking", "candidates": own}, "here")
    assert parsed.task_type.summary == "an order of rows"
    with pytest.raises(FleetError, match="horizon: task ranking has none"):
        parse_fleet(content | {"task": "ranking", "candidates": own, "horizon": 2}, "here")
    with pytest.raises(FleetError, match="task: 'guessing' is not allowed; input should be 'forecast' or 'regression'"):
        parse_fleet(content | {"task": "guessing"}, "here")


def test_an_unknown_task_type_of_a_stored_document_is_refused():
    with pytest.raises(FleetError, match="'guessing' is not a task type; choose one of forecast, regression"):
        task_type("guessing")


def test_each_task_type_knows_its_rules():
    fleet = SimpleNamespace(time=None, horizon=None, row_key=["id"])
    assert len(list(ForecastTask().contradictions(fleet))) == 3
    features = SimpleNamespace(numeric=(), categorical=())
    assert len(list(RegressionTask().contradictions(SimpleNamespace(horizon=1, features=features)))) == 2


def test_the_schema_lists_the_task_types():
    assert Fleet.model_json_schema()["properties"]["task"]["enum"] == list(TASK_TYPES)


def test_no_code_compares_names_of_task_types():
    comparison = re.compile(r"""\btask\b["')\]]*\s*(==|!=|in)\s*[("'\[]+(forecast|regression)""")
    files = [path for name in CODE for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".j2")]
    found = [path.relative_to(ROOT).as_posix() for path in files if comparison.search(path.read_text("utf-8"))]
    assert found == []
