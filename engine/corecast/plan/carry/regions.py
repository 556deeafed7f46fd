"""Converted layers in, regions out: the layers that a decided order reaches through others that can take it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from corecast.model.axes import Blocks, space_order, tensor_order
from corecast.model.following import FOLLOWERS
from corecast.model.orders import Order, Shape, in_memory, unchanged
from corecast.plan.carry.choice import Choice, Converted
from corecast.plan.carry.wiring import Reader, Value, Wiring


@dataclass
class Region:
    """Layers with the order that reached each; disputed where something around them has another one."""

    orders: dict[int, Order] = field(default_factory=dict)
    is_disputed: bool = False


def regions(wiring: Wiring, converted: Mapping[int, Converted]) -> Iterator[Region]:
    """The regions of each order that converted layers have, from those layers on; no two of one order share a layer."""
    kinds: defaultdict[tuple[Order | None, Order | None], list[int]] = defaultdict(list)
    for index, layer in converted.items():
        kinds[layer.operands[0], layer.results[0]].append(index)
    for indices in kinds.values():
        spread = _Spread(Choice(wiring, converted))
        for index in indices:
            yield from spread.around(index)


class _Spread:
    """One order on its way from layer to layer."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._wiring = choice.wiring
        self._reached: dict[Value, Order] = {}
        self._queue: deque[tuple[Value, Order]] = deque()

    def around(self, index: int) -> Iterator[Region]:
        """The regions that begin at the operand and at the result of a converted layer."""
        converted = self._choice.converted[index]
        operand = self._wiring.source(self._wiring.layers[index].operands[0])
        starts: list[tuple[Value, Order | None]] = [((index, 0), converted.results[0])]
        if operand and (order := converted.operands[0]):
            starts.insert(0, (operand[0], Reader(index, 0, operand[1]).outside(order)))
        for value, order in starts:
            if order and value not in self._reached and (region := self._region(value, order)).orders:
                yield region

    def _region(self, value: Value, order: Order) -> Region:
        region = Region()
        self._queue.append((value, order))
        while self._queue:
            value, order = self._queue.popleft()
            if value in self._reached or order == unchanged(len(order)):
                continue
            self._reached[value] = order
            shape = self._wiring.shape(value) or ()
            self._offer_to_all(value, order, shape, region)
            if not self._is_agreed(value, order, shape):
                region.is_disputed = True
        return region

    def _offer_to_all(self, value: Value, order: Order, shape: Shape, region: Region) -> None:
        """Let every layer that makes or reads a value take the order, if it can."""
        producer, place = value
        if isinstance(producer, int) and (axes := self._wiring.axes(producer)):
            self._offer(producer, axes.results[place], order, shape, region)
        for reader in self._wiring.readers.get(value, ()):
            if axes := self._wiring.axes(reader.layer):
                renaming = reader.renaming or unchanged(len(order))
                own = tuple(shape[axis] for axis in renaming)
                self._offer(reader.layer, axes.operands[reader.place], reader.inside(order), own, region)

    def _offer(self, layer: int, blocks: Blocks | None, order: Order, shape: Shape, region: Region) -> None:
        if layer in self._choice.orders or blocks is None:
            return
        space = space_order(blocks, order, shape)
        if space is None or (space := self._taken(layer, space)) is None:
            return
        self._choice.orders[layer] = region.orders[layer] = space
        axes = self._wiring.axes(layer)
        if axes is None:
            return
        for place, other in enumerate(axes.results):
            if other:
                self._queue.append(((layer, place), tensor_order(other, space)))
        for place, other in enumerate(axes.operands):
            source = self._wiring.source(self._wiring.layers[layer].operands[place])
            if other and source:
                reader = Reader(layer, place, source[1])
                self._queue.append((source[0], reader.outside(tensor_order(other, space))))

    def _taken(self, index: int, order: Order) -> Order | None:
        """The order, or one that differs from it in the places of axes of size one only, if the layer can run in it."""
        layer = self._wiring.layers[index]
        takes = FOLLOWERS[layer.op].takes
        if takes(layer, order):
            return order
        shapes = [operand.type.shape or () for operand in layer.operands] + [item.shape or () for item in layer.results]
        largest = tuple(max(sizes, key=lambda size: size != 1) for sizes in zip(*shapes, strict=False))
        others = permutations(order) if 1 in largest else ()
        wanted = in_memory(order, largest)
        return next((other for other in others if in_memory(other, largest) == wanted and takes(layer, other)), None)

    def _is_agreed(self, value: Value, order: Order, shape: Shape) -> bool:
        """Whether a value is made and read in this order, by layers that took it and by those that have it anyway."""
        agreed = in_memory(order, shape)

        def agrees(other: Order | None) -> bool:
            return in_memory(other or unchanged(len(order)), shape) == agreed

        choice = self._choice
        readers = self._wiring.readers.get(value, ())
        return agrees(choice.gives(value)) and all(
            agrees(reader.outside(choice.wants(reader) or unchanged(len(order)))) for reader in readers
        )
