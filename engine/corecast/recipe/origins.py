"""A flattened recipe in, its text out, with the file and line that each of its own lines comes from."""

from __future__ import annotations

from dataclasses import replace

from corecast.lang import format, nodes
from corecast.lang.rewrite import rewrite
from corecast.lang.spell import format_value
from corecast.recipe.flatten import Flat, Part


def format_resolved(flat: Flat) -> str:
    """Print a flattened recipe as a rules file of its own: it reads back, and plans as the recipe does."""
    told = tuple(_told(part) for part in flat.parts)
    statements = tuple(rewrite(item, _with_origin) for item in flat.file.statements)
    if not statements:
        return format(replace(flat.file, below=told))
    first = replace(statements[0], above=told + statements[0].above)
    return format(replace(flat.file, statements=(first, *statements[1:])))


def _told(part: Part) -> str:
    version = f" {part.version}" if part.version else ""
    values = ", ".join(f"{name} = {format_value(value)}" for name, value in part.values.items())
    return f"{part.source.name}: {part.name}{version}" + (f", with {values}" if values else "")


def _with_origin(node: nodes.Node) -> nodes.Node:
    """A rule without a name is called by its line, which changes here, so it gets that as its name."""
    if isinstance(node, nodes.Rule) and node.name is None:
        node = replace(node, name=node.label)
    if not isinstance(node, nodes.Statement):
        return node
    origin = f"{node.span.source.name}:{node.span.line}"
    return replace(node, beside=f"{origin}  {node.beside}" if node.beside else origin)
