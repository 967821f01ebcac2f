"""Write prefect.yaml, the deployments of the fleet m3, from the list of stages.

Run it from the root of the repository after every change of the stages: `.venv/bin/python -m flows.prefect_yaml`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from flows.automations import triggers_of
from flows.deployments import description_of, operations
from flows.stages import Operation

__all__ = ["TARGET", "prefect_yaml"]

TARGET = Path(__file__).parents[1] / "prefect.yaml"
_FLEET = "m3"
_INTRO = """\
# Deployments of the fleet m3, for a Prefect server of your own: prefect --no-prompt deploy --all
# `myriad up` and `myriad deploy FLEET` make the same set for any fleet file, without an entry here.
# Generated from flows/stages.py by `.venv/bin/python -m flows.prefect_yaml`; a test compares the two.
# To keep another fleet here: a second line below `fleets`, and the rows at the end once more with its name.
# Schedules are paused until somebody switches them on: the pipeline, or its stages one after another; what people
# change about these stays. Triggers are automations in Prefect's UI; a later deployment resets them to this file.
name: myriad

pull:
- prefect.deployments.steps.set_working_directory:
    directory: "{{ $MYRIAD_HOME }}"

definitions:
  fleets:
    m3: &m3
      name: m3
      parameters: {fleet: m3}
      work_pool: {name: local}
      # Schedules as people have set them on the server; new ones are paused, with the times of flows/stages.py.
      build: [{flows.schedules.current_schedules: {id: current, fleet: m3}}]

  flows: # Dotted entrypoints: with a path, workers of Dask cannot import what they are sent.
"""


def prefect_yaml() -> str:
    """Return the text of prefect.yaml."""
    definitions = "".join(_definition(operation) for operation in operations())
    triggers = triggers_of(_FLEET)
    deployments = "".join(_deployment(operation, triggers.get(operation.flow.name, ())) for operation in operations())
    return f"{_INTRO}{definitions}\ndeployments:\n{deployments}"


def _definition(operation: Operation) -> str:
    function = operation.flow.fn
    return "".join(f"    {line}\n" for line in _definition_lines(operation, function.__name__, function.__module__))


def _definition_lines(operation: Operation, name: str, module: str) -> Iterator[str]:
    yield f"{name}: &{name}"
    if operation.note:
        yield f"  # {operation.note}"
    yield f"  entrypoint: {module}.{name}"
    if operation.cadence:
        current = ", ".join(f'{key}: "{{{{ current.{name}.{key} }}}}"' for key in ("cron", "timezone", "active"))
        yield f"  schedules: [{{slug: {operation.cadence.slug}, {current}}}]"
    if operation.collision:
        yield f"  concurrency_limit: {{limit: 1, collision_strategy: {operation.collision}}}"


def _deployment(operation: Operation, triggers: Any) -> str:
    text = f"- <<: [*{operation.flow.fn.__name__}, *{_FLEET}]\n  tags: [myriad, {_FLEET}, {operation.group}]\n"
    text += f"  description: {json.dumps(description_of(operation, _FLEET), ensure_ascii=False)}\n"
    if not triggers:
        return text
    block = yaml.dump({"triggers": _plain(triggers)}, Dumper=_WithoutAliases, sort_keys=False, width=110)
    return text + "".join(f"  {line}\n" for line in block.splitlines())


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _plain(value: Any) -> Any:
    """Convert mappings and sequences to the types that YAML knows."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    TARGET.write_text(prefect_yaml(), encoding="utf-8")
