"""Where a layer stands in the graph."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import Value, placed_predicate, predicate


@placed_predicate
def ordinal(layer: Layer) -> Value:
    """Its zero-based place among the calls of its operator, what `#k` binds: `ordinal < 4`."""
    return layer.ordinal


@placed_predicate
def depth(layer: Layer) -> Value:
    """How many calls of its operator follow it on the longest path to the output: `depth == 0` is the last."""
    return layer.depth


@predicate
def users(layer: Layer) -> Value:
    """How many layers read its results: `users == 1`."""
    return len(layer.consumers)
