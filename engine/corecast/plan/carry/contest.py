"""What has been chosen and a proposal in, the cheapest mixture of the two out, as a minimum cut.

Each layer of the proposal is a node: on the source's side it stays as it was chosen, on the sink's it takes the
proposal. A value costs its bytes once for every order in which somebody wants it and nobody makes it, and that is what
it costs to cut it off from its readers. Between cuts of the same bytes the one with fewer transposes wins, and then the
one whose transposes come later, so that what follows a converted layer stays with it.

All that speaks against the proposal stands around the values that are disputed, so the graph grows from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from corecast.model.orders import unchanged
from corecast.plan.carry.choice import Choice
from corecast.plan.carry.cut import SINK, SOURCE, Graph
from corecast.plan.carry.prices import MAKER, prices
from corecast.plan.carry.regions import Region
from corecast.plan.carry.wiring import Value, Wiring


@dataclass(frozen=True)
class Decision:
    """What a contest came to: the layers that took the region's order, and the values on which that depends."""

    taken: list[int]
    values: set[Value]

    def seen(self, wiring: Wiring) -> Iterator[int]:
        """The layers on which it depends, by what they make and read."""
        for value in self.values:
            if isinstance(value[0], int):
                yield value[0]
            yield from (reader.layer for reader in wiring.readers.get(value, ()))


def decide(choice: Choice, region: Region) -> Decision:
    """Those layers of a region are to take its order for which that is cheaper in all."""
    contest = _Contest(choice, region)
    contest.begin(region.disputed)
    stay = contest.graph.cut()
    taken = [layer for layer in contest.contested if contest.nodes.get(layer, SINK) not in stay]
    return Decision(taken, contest.added)


def decide_again(choice: Choice, region: Region, last: Decision, differs: Iterable[int]) -> Decision:
    """The same, looking only at what hangs together with layers of another order than at the beginning of the last.

    A cut goes through each part of the graph that hangs together as if there were no other.
    """
    contest = _Contest(choice, region)
    around = contest.surround(differs)
    stay = contest.graph.cut()
    as_before = {*last.taken, *differs}
    taken = []
    for layer in contest.contested:
        node = contest.nodes.get(layer)
        if node not in stay if node in around else layer in as_before:
            taken.append(layer)
    return Decision(taken, contest.added | last.values)


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
        self._choice = choice
        self._wiring = choice.wiring
        self.added: set[Value] = set()

    def begin(self, disputed: Iterable[Value]) -> None:
        """Add what may speak against the proposal; the rest is added as the cut comes to it."""
        self._add_all(disputed)
        # What was chosen for another order's sake has something else around it that speaks for it.
        chosen = [layer for layer in self.contested if layer in self._choice.orders]
        self._add_all(value for layer in chosen for value in self._values(layer))

    def surround(self, layers: Iterable[int]) -> set[int]:
        """Add everything that hangs together with these layers: the nodes of that."""
        for layer in layers:
            self._add_all(self._values(layer))
        return self.graph.whole(self.nodes.values())

    def _grow(self, node: int) -> None:
        if node in self._layers:
            self._add_all(self._values(self._layers[node]))

    def _values(self, layer: int) -> Iterator[Value]:
        """Everything that a layer makes or reads."""
        yield from ((layer, place) for place in range(len(self._wiring.layers[layer].results)))
        yield from (source.value for source in self._wiring.sources[layer] if source)

    def _add_all(self, values: Iterable[Value]) -> None:
        for value in values:
            if value not in self.added:
                self.added.add(value)
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
        producer, result = value
        made = proposed = self._choice.gives(value) or own
        nodes = [SOURCE, SINK, SOURCE]
        if isinstance(producer, int) and producer in self.contested:
            nodes[MAKER] = self._node(producer)
            proposed = self._wiring.given(producer, result, self.contested[producer]) or own
        readers = []
        for layer, place, source in self._wiring.readers.get(value, ()):
            before = source.outside(self._choice.wants(layer, place) or own)
            order = self.contested.get(layer)
            after = before if order is None else source.outside(self._wiring.wanted(layer, place, order) or own)
            who = SOURCE
            if after != before:
                node = self._node(layer)
                if node not in nodes:
                    nodes.append(node)
                who = nodes.index(node)
            readers.append((before, after, who))
        cost = self._cost(value)
        for stay, take, moves in prices(tuple(shape), made, proposed, tuple(readers)):
            self._join([nodes[who] for who in stay], [nodes[who] for who in take], cost if moves else 1)

    def _cost(self, value: Value) -> int:
        """Bytes first, then the number of transposes, then how many layers come after."""
        layers = len(self._wiring.layers) + 1
        after = layers - value[0] if isinstance(value[0], int) else layers
        return (self._wiring.bytes(value) * layers + 1) * 4 * layers**2 + after

    def _join(self, stay: list[int], take: list[int], cost: int) -> None:
        """Charge the cost, once, where one of these stays as it was and one of those takes the proposal."""
        if len(stay) == 1 and len(take) == 1:
            self.graph.arc(stay[0], take[0], cost)
            return
        left, right = self.graph.node(), self.graph.node()
        for node in stay:
            self.graph.arc(node, left, inf)
        self.graph.arc(left, right, cost)
        for node in take:
            self.graph.arc(right, node, inf)
