"""What a lint says: a warning at its place, and the nodes that can go without a change of what is decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from corecast.lang import Problem, nodes
from corecast.lang.source import Span


class Place(NamedTuple):
    """Which node of a file is meant, however often the file is read."""

    kind: type[nodes.Node]
    start: int
    end: int

    @classmethod
    def of(cls, node: nodes.Node) -> Place:
        return cls(type(node), node.span.start, node.span.end)


@dataclass(frozen=True)
class Finding:
    """A warning, and the node that a fix takes away; None where taking it away might change a decision."""

    problem: Problem
    removable: Place | None = None


def unless_given(node: nodes.Node, within: nodes.Node) -> Place | None:
    """A node that a fix takes away, unless the value of a parameter may have made it what it is."""
    return None if "$" in within.span.text else Place.of(node)


Notes = tuple[tuple[str, Span], ...]
