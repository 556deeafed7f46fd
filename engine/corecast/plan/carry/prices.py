"""The orders in which one value is made and wanted in, what it costs to want it so out: the arcs that it adds to a cut.

A model has many values and few ways in which they are made and read, so each way is thought through once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from corecast.model.orders import Order, Shape, in_memory
from corecast.plan.carry.cut import SINK, SOURCE

# Who takes part: the two ends, the layer that makes the value, and from 3 the layers that read it.
MAKER = 2

# The order in which a reader wants the value as it was chosen, that as proposed, and who it is where these differ.
Reader: TypeAlias = tuple[Order, Order, int]


class Price(NamedTuple):
    """To be paid, once, where one of the first stays as it was and one of the others takes the proposal.

    It is that of a transpose where the value `moves`, else that of a reshape.
    """

    stay: tuple[int, ...]
    take: tuple[int, ...]
    moves: bool


@dataclass
class _Wanted:
    """Who wants a value in one order: somebody in any case, and layers only as they were or only as proposed."""

    always: bool = False
    before: list[int] = field(default_factory=list)
    proposed: list[int] = field(default_factory=list)

    def add(self, other: _Wanted) -> None:
        self.before += other.before
        self.proposed += other.proposed
        self.always |= other.always or not set(self.before).isdisjoint(self.proposed)


@lru_cache(maxsize=1 << 14)
def prices(shape: Shape, made: Order, proposed: Order, readers: tuple[Reader, ...]) -> tuple[Price, ...]:
    """What a value costs.

    Args:
        shape: its sizes, of which those are 1 that can be moved at no cost.
        made: the order in which it is made as it was chosen.
        proposed: the one in which it is made as proposed.
        readers: who reads it, and how.
    """
    wanted: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
    for before, after, who in readers:
        if before == after:
            wanted[before].always = True
        else:
            wanted[before].before.append(who)
            wanted[after].proposed.append(who)
    if 1 not in shape:
        return tuple(_prices(made, proposed, wanted, moves=True))
    # Readers whose orders differ only in the places of axes of size one share a transpose.
    shared: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
    for order, who_wants in wanted.items():
        shared[in_memory(order, shape)].add(who_wants)
    lies = in_memory(made, shape), in_memory(proposed, shape)
    found = list(_prices(*lies, shared, moves=True))
    if len({made, proposed, *wanted}) > len({*lies, *shared}):
        # A reshape moves nothing, but it is better not to have one.
        found += _prices(made, proposed, wanted, moves=False)
    return tuple(found)


def _prices(made: Order, proposed: Order, wanted: dict[Order, _Wanted], *, moves: bool) -> Iterator[Price]:
    """The price of wanting a value in each order in which it is not made."""
    for order, readers in wanted.items():
        before, after = order == made, order == proposed
        pairs: list[tuple[list[int], list[int]]] = []
        if before == after:
            if not before and not readers.always:
                pairs = [([SOURCE], readers.proposed), (readers.before, [SINK])]
        elif after:
            pairs = [([MAKER], [SINK] if readers.always or readers.before else readers.proposed)]
        else:
            pairs = [([SOURCE] if readers.always or readers.proposed else readers.before, [MAKER])]
        for stay, take in pairs:
            if stay and take:
                yield Price(tuple(stay), tuple(take), moves)
