"""Where a layer stands in the graph."""

from __future__ import annotations

from corecast.model import Behaviour, Layer
from corecast.recipe import Natural, placed_predicate, predicate


@placed_predicate
def ordinal(layer: Layer) -> Natural:
    """Its zero-based place among the calls of its operator, what `#k` binds: `ordinal < 4`."""
    return layer.ordinal


@placed_predicate
def depth(layer: Layer) -> Natural:
    """How many calls of its operator follow it on the longest path to the output: `depth == 0` is the last."""
    return layer.depth


@placed_predicate
def index(layer: Layer) -> Natural:
    """Its zero-based place among all layers: `index < 10`."""
    return layer.index


@predicate
def hash(layer: Layer) -> str:
    """The digest that layers of equal operator, attributes, types and neighbours share: `hash == "0c5b..."`."""
    return layer.hash


@predicate
def behaviour(layer: Layer) -> Behaviour:
    """What it does where its producer's layout changes: `behaviour == "follows"`."""
    return layer.behaviour


@predicate
def sources(layer: Layer) -> Natural:
    """How many results of other layers it reads: `sources == 2`."""
    return len(layer.producers)


@predicate
def users(layer: Layer) -> Natural:
    """How many layers read its results: `users == 1`."""
    return len(layer.consumers)
