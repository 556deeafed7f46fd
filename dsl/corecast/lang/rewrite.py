"""A syntax tree and a change in, the changed tree out; what the change leaves alone stays the very same node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from corecast.lang.nodes import Node

AnyNode = TypeVar("AnyNode", bound=Node)


def rewrite(node: AnyNode, change: Callable[[Node], Node]) -> AnyNode:
    """Change a node, then the nodes inside what came of it. A change keeps a node fit for its place."""
    changed = change(node)
    inner: dict[str, Any] = {field.name: getattr(changed, field.name) for field in fields(changed)}
    new = {name: made for name, value in inner.items() if (made := _value(value, change)) is not value}
    return cast(AnyNode, replace(changed, **new) if new else changed)


def _value(value: Any, change: Callable[[Node], Node]) -> Any:
    if isinstance(value, Node):
        return rewrite(value, change)
    if isinstance(value, tuple):
        items = tuple(_value(item, change) for item in value)
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
