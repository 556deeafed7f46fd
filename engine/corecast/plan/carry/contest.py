"""What has been chosen and a proposal in, the cheapest mixture of the two out, as a minimum cut.

Each layer of the proposal is a node: on the source's side it stays as it was chosen, on the sink's it takes the
proposal. A value costs its bytes once for every order in which somebody wants it and nobody makes it, and that is what
it costs to cut it off from its readers. Between cuts of the same bytes the one with fewer transposes wins, and then the
one whose transposes come later, so that what follows a converted layer stays with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from corecast.model.orders import Order, in_memory, unchanged
from corecast.plan.carry.choice import Choice
from corecast.plan.carry.cut import SINK, SOURCE, Graph
from corecast.plan.carry.wiring import Value


def decide(choice: Choice, proposal: Mapping[int, Order]) -> None:
    """Let those layers take the proposal for which that is cheaper in all."""
    contest = _Contest(choice, proposal)
    sides = contest.graph.cut()
    choice.orders.update((layer, proposal[layer]) for layer, node in contest.nodes.items() if sides[node])


@dataclass
class _Wanted:
    """Who wants a value in one order: somebody in any case, and layers only as they were or only as proposed."""

    always: bool = False
    before: list[int] = field(default_factory=list)
    proposed: list[int] = field(default_factory=list)

    def add(self, other: _Wanted) -> None:
        self.always |= other.always or bool({*self.before, *other.before} & {*self.proposed, *other.proposed})
        self.before += other.before
        self.proposed += other.proposed


class _Contest:
    """The graph of a contest: its nodes by layer, and what each value may cost."""

    def __init__(self, choice: Choice, proposal: Mapping[int, Order]) -> None:
        self.graph = Graph()
        self._before = choice
        self._proposed = Choice(choice.wiring, choice.converted, {**choice.orders, **proposal})
        self._wiring = choice.wiring
        self.nodes = {
            layer: self.graph.node()
            for layer, order in proposal.items()
            if order != choice.orders.get(layer, unchanged(len(order)))
        }
        for value in self._values():
            self._add(value)

    def _values(self) -> Iterator[Value]:
        """Everything that a node makes or reads, once."""
        seen: set[Value] = set()
        for index in self.nodes:
            layer = self._wiring.layers[index]
            sources = [source[0] for operand in layer.operands if (source := self._wiring.source(operand))]
            for value in [*((index, place) for place in range(len(layer.results))), *sources]:
                if value not in seen:
                    seen.add(value)
                    yield value

    def _add(self, value: Value) -> None:
        shape = self._wiring.shape(value)
        if shape is None:
            return
        own = unchanged(len(shape))
        made = [choice.gives(value) or own for choice in (self._before, self._proposed)]
        wanted = self._wanted(value, own)
        # Readers whose orders differ only in the places of axes of size one share a transpose.
        shared: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
        for order, readers in wanted.items():
            shared[in_memory(order, shape)].add(readers)
        lies = [in_memory(order, shape) for order in made]
        producer = value[0]
        maker = self.nodes.get(producer) if isinstance(producer, int) else None
        cost = self._cost(value)
        for order, readers in shared.items():
            self._charge(maker, lies[0] == order, lies[1] == order, readers, cost)
        if len({*made, *wanted}) > len({*lies, *shared}):
            # A reshape moves nothing, but it is better not to have one.
            for order, readers in wanted.items():
                self._charge(maker, made[0] == order, made[1] == order, readers, 1)

    def _wanted(self, value: Value, own: Order) -> dict[Order, _Wanted]:
        wanted: defaultdict[Order, _Wanted] = defaultdict(_Wanted)
        for reader in self._wiring.readers.get(value, ()):
            before, proposed = (
                reader.outside(choice.wants(reader) or own) for choice in (self._before, self._proposed)
            )
            if before == proposed:
                wanted[before].always = True
            else:
                wanted[before].before.append(self.nodes[reader.layer])
                wanted[proposed].proposed.append(self.nodes[reader.layer])
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
