"""A scaffold as a fleet file: YAML with a comment for each choice."""

import textwrap
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from domain.scaffold.source_profile import FleetScaffold

__all__ = ["render_scaffold"]

_WIDTH = 100
_SHORT = 110


def render_scaffold(scaffold: FleetScaffold) -> str:
    """The text of the fleet file; it says the same as the scaffold's content."""
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
    # What a file says about itself, line breaks in its values too, must not end the comment.
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    lines = textwrap.wrap(plain, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)


def _yaml_lines(content: dict[str, Any]) -> list[str]:
    """YAML of one key: on one line where it is short, else a line an item."""
    ((key, value),) = content.items()
    flat = _flow(value)
    if not isinstance(value, dict) or not value or len(f"{key}: {flat}") <= _SHORT:
        return [f"{key}: {flat}"]
    return [f"{key}:", *(f"  {_flow(name)}: {_flow(item)}" for name, item in value.items())]


def _flow(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
