"""Converted layers in, regions out: the layers that a decided order reaches through others that can take it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from corecast.model.axes import Axes, Blocks, space_order, tensor_order
from corecast.model.following import FOLLOWERS, any_order
from corecast.model.orders import Order, Shape, in_memory, unchanged
from corecast.plan.carry.choice import Choice, Converted
from corecast.plan.carry.wiring import Value, Wiring


@dataclass
class Region:
    """Layers with the order that reached each, and the values around them that somebody has in another one."""

    orders: dict[int, Order] = field(default_factory=dict)
    disputed: list[Value] = field(default_factory=list)


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
        self._reached: set[Value] = set()
        self._queue: deque[tuple[Value, Order]] = deque()

    def around(self, index: int) -> Iterator[Region]:
        """The regions that begin at the operand and at the result of a converted layer."""
        converted, source = self._choice.converted[index], self._wiring.sources[index][0]
        starts: list[tuple[Value, Order | None]] = [((index, 0), converted.results[0])]
        if source and (order := converted.operands[0]):
            starts.insert(0, (source.value, source.outside(order)))
        for value, order in starts:
            if order and value not in self._reached and (region := self._region(value, order)).orders:
                yield region

    def _region(self, value: Value, order: Order) -> Region:
        region = Region()
        self._queue.append((value, order))
        while self._queue:
            value, order = self._queue.popleft()
            if value not in self._reached and order != unchanged(len(order)):
                self._reached.add(value)
                if not self._spread(value, order, region):
                    region.disputed.append(value)
        return region

    def _spread(self, value: Value, order: Order, region: Region) -> bool:
        """Let every layer that makes or reads a value take the order, if it can; true if all of them have it now."""
        choice, wiring = self._choice, self._wiring
        shape, own = wiring.shape(value) or (), unchanged(len(order))
        producer, place = value
        if isinstance(producer, int) and (axes := wiring.axes(producer)):
            self._offer(producer, axes, axes.results[place], order, shape, region)
        agreed = _agree(choice.gives(value) or own, order, shape)
        for layer, place, source in wiring.readers.get(value, ()):
            if axes := wiring.axes(layer):
                mine = shape if source.renaming is None else tuple(shape[axis] for axis in source.renaming)
                self._offer(layer, axes, axes.operands[place], source.inside(order), mine, region)
            agreed &= _agree(source.outside(choice.wants(layer, place) or own), order, shape)
        return agreed

    def _offer(self, layer: int, axes: Axes, blocks: Blocks | None, order: Order, shape: Shape, region: Region) -> None:
        """Let a layer take the order of its space in which one of its tensors has this order."""
        orders = self._choice.orders
        if layer in orders or blocks is None:
            return
        space = order if axes.is_plain else space_order(blocks, order, shape)
        if space is None or (space := self._taken(layer, space)) is None:
            return
        orders[layer] = region.orders[layer] = space
        for place, other in enumerate(axes.results):
            if other:
                self._queue.append(((layer, place), space if axes.is_plain else tensor_order(other, space)))
        for other, source in zip(axes.operands, self._wiring.sources[layer], strict=True):
            if other and source:
                mine = space if axes.is_plain else tensor_order(other, space)
                self._queue.append((source.value, source.outside(mine)))

    def _taken(self, index: int, order: Order) -> Order | None:
        """The order, or one that differs from it in the places of axes of size one only, if the layer can run in it."""
        layer = self._wiring.layers[index]
        takes = FOLLOWERS[layer.op].takes
        if takes is any_order or takes(layer, order):
            return order
        tensors = [*(operand.type for operand in layer.operands), *layer.results]
        shapes = [tensor.shape for tensor in tensors if tensor.shape and len(tensor.shape) == len(order)]
        largest = tuple(max(sizes, key=lambda size: size != 1) for sizes in zip(*shapes, strict=True))
        others = permutations(order) if 1 in largest else ()
        wanted = in_memory(order, largest)
        return next((other for other in others if in_memory(other, largest) == wanted and takes(layer, other)), None)


def _agree(one: Order, other: Order, shape: Shape) -> bool:
    return one == other or in_memory(one, shape) == in_memory(other, shape)
