"""Parse YAML that anybody may have written: no repeated keys, and limits on its size, depth and aliases.

Ten lines of aliases to aliases stand for a billion values, and a few kilobytes of brackets end an interpreter. Both are
seen in the events of the parser, before any value is made.
"""

from collections.abc import Hashable
from typing import Any

import yaml

__all__ = ["MOST_BYTES", "MOST_DEPTH", "MOST_VALUES", "parse_yaml"]

MOST_BYTES = 256 * 1024
MOST_DEPTH = 50
MOST_VALUES = 20_000
"""Values of a document, with those of an alias counted wherever it stands."""

_MOST_DIGITS = 400
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_NOT_A_VALUE = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)
"""Raised by PyYAML for 2024-13-45, which looks like a date, and for tags that do not fit their text, as `!!bool x`."""
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(yaml.SafeLoader):
    """Refuse repeated keys: YAML would silently take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in names:
                raise yaml.constructor.ConstructorError(None, None, f"key '{name}' occurs twice", key.start_mark)
            names.add(name)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Refuse numbers that take long to convert, or that Python does not print."""
        if len(node.value) > _MOST_DIGITS:
            problem = f"a number of {len(node.value):,} characters; at most {_MOST_DIGITS} are allowed"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        is_int = node.tag == _INT
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


for _tag in (_INT, _FLOAT):
    _UniqueKeys.add_constructor(_tag, _UniqueKeys.construct_number)


def parse_yaml(text: str, most_bytes: int = MOST_BYTES) -> Any:
    """Return the content of one YAML document.

    Raises
    ------
    yaml.YAMLError : the text is not valid YAML, repeats a key, or exceeds a limit of this module.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > most_bytes:
        raise yaml.YAMLError(f"{size:,} bytes are more than the {most_bytes:,} that are allowed")
    _check_structure(text)
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a SafeLoader
    except _NOT_A_VALUE as exc:
        raise yaml.YAMLError(f"a value cannot be read: {exc}") from exc


def _check_structure(text: str) -> None:
    """Count values and depth without making anything."""
    counts, names, sizes = [0], list[str | None](), dict[str, int]()
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            names.append(event.anchor)
            counts.append(1)
            if len(names) > MOST_DEPTH:
                raise yaml.YAMLError(f"nested more than {MOST_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = counts.pop(), names.pop()
            counts[-1] += size
            if name is not None:
                sizes[name] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise yaml.YAMLError(f"alias *{event.anchor} stands within its own value; spell it out")
            counts[-1] += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
        if counts[-1] > MOST_VALUES or sum(counts) > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values, with aliases counted where they stand")
