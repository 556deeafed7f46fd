"""Axis orders: a tensor whose axes are kept in another order than the model had them, as plain tuples.

An order says for each axis of the tensor as it is kept which axis of the model's tensor it is: NCHW kept as HWNC has
the order (2, 3, 0, 1). That is what a transpose takes that makes the one of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TypeAlias

Order: TypeAlias = tuple[int, ...]
Shape: TypeAlias = Sequence[int | str]


@cache
def unchanged(rank: int) -> Order:
    """The order of a tensor that is kept as the model had it."""
    return tuple(range(rank))


@lru_cache(maxsize=1 << 14)
def between(was: str, now: str) -> Order:
    """The order that a layout has for one who thinks in another: NCHW kept as HWNC is (2, 3, 0, 1)."""
    return tuple(was.index(axis) for axis in now)


@lru_cache(maxsize=1 << 14)
def inverse(order: Order) -> Order:
    """Where each of the model's axes stands in the tensor as it is kept."""
    places = [0] * len(order)
    for place, axis in enumerate(order):
        places[axis] = place
    return tuple(places)


@lru_cache(maxsize=1 << 14)
def composed(first: Order, second: Order) -> Order:
    """The one order that is `second` of a tensor that is kept in the order `first`."""
    return tuple(first[axis] for axis in second)


@lru_cache(maxsize=1 << 14)
def transposing(have: Order, want: Order) -> Order:
    """The axes of the transpose that makes a tensor kept in one order a tensor kept in another."""
    places = inverse(have)
    return tuple(places[axis] for axis in want)


@lru_cache(maxsize=1 << 14)
def in_memory(order: Order, shape: Shape) -> Order:
    """The order without the axes of size one: where these stand makes no difference to how the elements lie."""
    return tuple(axis for axis in order if shape[axis] != 1)


def moves(order: Order, shape: Shape | None) -> bool:
    """Whether a tensor in this order lies otherwise than in the model's."""
    return shape is not None and in_memory(order, shape) != in_memory(unchanged(len(order)), shape)
