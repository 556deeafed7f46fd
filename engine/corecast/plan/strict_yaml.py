"""Plain data in, YAML out, as plans and reports are written; and back, without what could make a small text expand."""

from __future__ import annotations

from typing import Any

import yaml

# Deeper than any plan, as what reads YAML goes down by recursion; and more digits than any of its numbers.
DEEPEST = 16
MOST_DIGITS = 18

_YAML: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def dump(data: Any) -> str:
    """Print data as YAML."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def load(text: str) -> Any:
    """Read YAML that has each key once. Raises `ValueError` that says what is wrong, and in which line."""
    try:
        _refuse_what_no_plan_has(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Dumper(yaml.SafeDumper):
    """Block style for the anchors' lines, flow style for the innermost mappings."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if text.endswith("\n") else None)


class Row(dict[str, Any]):
    """A mapping that is written on one line."""


def _flow(dumper: yaml.SafeDumper, row: Row) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", row, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Row, _flow)


def _refuse_what_no_plan_has(text: str) -> None:
    """Aliases, which can make a small file expand without end, and depth and numbers without end."""
    depth = 0
    for event in yaml.parse(text, Loader=_YAML):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has YAML aliases")
        if isinstance(event, yaml.ScalarEvent) and event.value.isdigit() and len(event.value) > MOST_DIGITS:
            raise ValueError(f"it has a number of {len(event.value)} digits")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")


class _Loader(_YAML):  # type: ignore[misc, valid-type]
    """YAML whose mappings have each key once; by itself, YAML takes the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if len(keys) > len(set(map(str, keys))):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"line {node.start_mark.line + 1}: the key `{twice}` stands there twice")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
