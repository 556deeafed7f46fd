"""What has been chosen and a proposal in, the cheapest mixture of the two out, as a minimum cut.

Each layer of the proposal is a node: on the source's side it stays as it was chosen, on the sink's it takes the
proposal. A value costs its bytes once for every order in which somebody wants it and nobody makes it, and that is what
it costs to cut it off from its readers. Between cuts of the same bytes the one with fewer transposes wins, and then the
one whose transposes come later, so that what follows a converted layer stays with it.

All that speaks against the proposal stands around the values that are disputed, so the graph grows from these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from corecast.model.orders import Order, in_memory, unchanged
from corecast.plan.carry.choice import Choice
from corecast.plan.carry.cut import SINK, SOURCE, Graph
from corecast.plan.carry.regions import Region
from corecast.plan.carry.wiring import Value


def decide(choice: Choice, region: Region) -> None:
    """Let those layers of a region take its order for which that is cheaper in all."""
    contest = _Contest(choice, region)
    stay = contest.graph.cut()
    for layer, order in contest.contested.items():
        if contest.nodes.get(layer, SINK) not in stay:
            choice.orders[layer] = order


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


class _Contest:
    """The graph of a contest, and the nodes of those layers that it has reached."""

    def __init__(self, choice: Choice, region: Region) -> None:
        self.graph = Graph(self._grow)
        self.nodes: dict[int, int] = {}
        self.contested = {
            layer: order
            for layer, order in region.orders.items()
            if order != choice.orders.get(layer, unchanged(len(order)))
        }
        self._layers: dict[int, int] = {}
        self._before = choice
        self._proposed = Choice(choice.wiring, choice.converted, {**choice.orders, **self.contested})
        self._wiring = choice.wiring
        self._added: set[Value] = set()
        self._add_all(region.disputed)
        # What was chosen for another order's sake has something else around it that speaks for it.
        self._add_all(value for layer in self.contested if layer in choice.orders for value in self._values(layer))

    def _grow(self, node: int) -> None:
        if node in self._layers:
            self._add_all(self._values(self._layers[node]))

    def _values(self, layer: int) -> Iterator[Value]:
        """Everything that a layer makes or reads."""
        yield from ((layer, place) for place in range(len(self._wiring.layers[layer].results)))
        yield from (source.value for source in self._wiring.sources[layer] if source)

    def _add_all(self, values: Iterable[Value]) -> None:
        for value in values:
            if value not in self._added:
                self._added.add(value)
                self._add(value)

    def _node(self, layer: int) -> int:
        if layer not in self.nodes:
            self.nodes[layer] = node = self.graph.node()
            self._layers[node] = layer
        return self.nodes[layer]

    def _add(self, value: Value) -> None:
        """What a value may cost."""
        shape = self._wiring.shape(value)
        if shape is None:
            return
        own = unchanged(len(shape))
        made = [choice.gives(value) or own for choice in (self._before, self._proposed)]
        wanted = self._wanted(value, own)
        producer = value[0]
        maker = self._node(producer) if isinstance(producer, int) and producer in self.contested else None
        cost = self._cost(value)
        if 1 not in shape:
            for order, readers in wanted.items():
                self._charge(maker, made[0] == order, made[1] == order, readers, cost)
            return
        # Readers whose orders differ only in the places of axes of size one share a transpose.
        shared: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
        for order, readers in wanted.items():
            shared[in_memory(order, shape)].add(readers)
        lies = [in_memory(order, shape) for order in made]
        for order, readers in shared.items():
            self._charge(maker, lies[0] == order, lies[1] == order, readers, cost)
        if len({*made, *wanted}) > len({*lies, *shared}):
            # A reshape moves nothing, but it is better not to have one.
            for order, readers in wanted.items():
                self._charge(maker, made[0] == order, made[1] == order, readers, 1)

    def _wanted(self, value: Value, own: Order) -> dict[Order, _Wanted]:
        wanted: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
        for layer, place, source in self._wiring.readers.get(value, ()):
            before = source.outside(self._before.wants(layer, place) or own)
            if layer not in self.contested:
                wanted[before].always = True
                continue
            proposed = source.outside(self._proposed.wants(layer, place) or own)
            if before == proposed:
                wanted[before].always = True
            else:
                wanted[before].before.append(self._node(layer))
                wanted[proposed].proposed.append(self._node(layer))
        return wanted

    def _cost(self, value: Value) -> int:
        """Bytes first, then the number of transposes, then how many layers come after."""
        layers = len(self._wiring.layers) + 1
        after = layers - value[0] if isinstance(value[0], int) else layers
        return (self._wiring.bytes(value) * layers + 1) * 4 * layers**2 + after

    def _charge(self, maker: int | None, before: bool, proposed: bool, readers: _Wanted, cost: int) -> None:
        """Put a price on wanting a value in an order in which it is not made.

        Args:
            maker: the node that makes the value, if one does.
            before: whether it is made in that order as it was chosen.
            proposed: whether it is made in that order as proposed.
            readers: who wants it so.
            cost: of a transpose.
        """
        if before and proposed:
            return
        if maker is None or before == proposed:
            if not readers.always:
                self._join([SOURCE], readers.proposed, cost)
                self._join(readers.before, [SINK], cost)
        elif proposed:
            certain = readers.always or bool(readers.before)
            self._join([maker], [SINK] if certain else readers.proposed, cost)
        else:
            certain = readers.always or bool(readers.proposed)
            self._join([SOURCE] if certain else readers.before, [maker], cost)

    def _join(self, before: list[int], proposed: list[int], cost: int) -> None:
        """Charge the cost, once, where one of these stays as it was and one of those takes the proposal."""
        if len(before) == 1 and len(proposed) == 1:
            self.graph.arc(before[0], proposed[0], cost)
        elif before and proposed:
            left, right = self.graph.node(), self.graph.node()
            for node in before:
                self.graph.arc(node, left, inf)
            self.graph.arc(left, right, cost)
            for node in proposed:
                self.graph.arc(right, node, inf)
