"""Render a scaffold as a fleet file: YAML with a comment for each choice."""

import textwrap
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from domain.scaffold.source_profile import FleetScaffold

__all__ = ["render_scaffold"]

_WIDTH = 100
_SHORT = 110


def render_scaffold(scaffold: FleetScaffold) -> str:
    """Render the text of the fleet file; parsed, it equals the scaffold's content."""
    loader = PackageLoader("domain.scaffold")
    environment = Environment(  # noqa: S701 - YAML, no HTML
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"comment": _comment, "yaml_lines": _yaml_lines}
    comments = {choice.key: choice.comment for choice in scaffold.choices}
    return environment.get_template("fleet.yaml.j2").render(
        fleet=scaffold.content, comments=comments, hints=scaffold.hints
    )


def _comment(text: str) -> str:
    # Text from the data, such as a value with a line break, must not end the comment.
    printable = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    lines = textwrap.wrap(printable, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)


def _yaml_lines(content: dict[str, Any]) -> list[str]:
    """YAML of one key: on one line where it is short, else one line per item."""
    ((key, value),) = content.items()
    one_line = _flow(value)
    if not isinstance(value, dict) or not value or len(f"{key}: {one_line}") <= _SHORT:
        return [f"{key}: {one_line}"]
    return [f"{key}:", *(f"  {_flow(name)}: {_flow(item)}" for name, item in value.items())]


class _OneLine(yaml.SafeDumper):
    """Write every text on one line: names from a file's header may have line breaks."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_OneLine.add_representer(str, _represent_text)


def _flow(value: object) -> str:
    text: str = yaml.dump(
        value, Dumper=_OneLine, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.removesuffix("\n").removesuffix("\n...")
