"""A layer table in, its values with their readers out, seen through the model's own transposes.

A transpose of the model's own is no node here: what reads its result reads its operand, in the order that makes the
same tensor of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, TypeAlias

from corecast.model import Layer, LayerTable, Operand, TensorType, dtype_bits
from corecast.model.axes import Axes, tensor_order
from corecast.model.following import FOLLOWERS, RENAMING
from corecast.model.orders import Order, Shape, composed, inverse

# A result of a layer, by its index, or an argument, by its name; and which of its results.
Value: TypeAlias = tuple[int | str, int]

# What a dynamic size is taken for where bytes are compared.
DYNAMIC = 16


class Source(NamedTuple):
    """What an operand is made of: a value, and the order of its axes that makes the operand, None for its own."""

    value: Value
    renaming: Order | None = None

    def outside(self, order: Order) -> Order:
        """The order of the value in which the operand has this order."""
        return order if self.renaming is None else composed(self.renaming, order)

    def inside(self, order: Order) -> Order:
        """The order of the operand where the value has this order."""
        return order if self.renaming is None else composed(inverse(self.renaming), order)


class Reader(NamedTuple):
    """A layer and the place of an operand. The function's result reads too; its index comes after the last layer's."""

    layer: int
    place: int
    source: Source


class Wiring:
    """The values of a layer table, who reads them, and the axes of the layers that follow.

    `sources` has for each layer, and after them for the function's result, what each operand is made of, None for a
    weight; `aliases` has for each transpose of the model's own what its result is made of.
    """

    def __init__(self, table: LayerTable) -> None:
        self.layers = table.layers
        self.returns = table.returns
        self.sources: list[list[Source | None]] = []
        self.readers: dict[Value, list[Reader]] = {}
        self.aliases: dict[int, Source] = {}
        self._arguments: dict[Value, TensorType] = {}
        self._axes: dict[int, Axes | None] = {}
        # Relay's own pass carries layouts there, and it transposes axes of size one like all others.
        self._moves_units = table.ir != "relay"
        for layer in table.layers:
            self._connect(layer.operands)
            if layer.op in RENAMING and (alias := self._alias(layer)):
                self.aliases[layer.index] = alias
            else:
                self._read(layer.index)
        self._connect(table.returns)
        self._read(len(table.layers))

    def _connect(self, operands: Sequence[Operand]) -> None:
        sources: list[Source | None] = []
        for operand in operands:
            if operand.layer is not None:
                sources.append(self.aliases.get(operand.layer) or Source((operand.layer, operand.result)))
            elif operand.argument is not None:
                value = (operand.argument, operand.result)
                self._arguments[value] = operand.type
                sources.append(Source(value))
            else:
                sources.append(None)
        self.sources.append(sources)

    def _alias(self, layer: Layer) -> Source | None:
        source, shape, axes = self.sources[layer.index][0], layer.operands[0].type.shape, layer.attributes.get("axes")
        if shape is None or source is None or layer.behaviour != "follows":
            return None
        rank = len(shape)
        order = tuple(int(axis) % rank for axis in axes) if isinstance(axes, tuple) else tuple(range(rank))[::-1]
        return Source(source.value, source.outside(order))

    def _read(self, index: int) -> None:
        for place, source in enumerate(self.sources[index]):
            if source:
                self.readers.setdefault(source.value, []).append(Reader(index, place, source))

    def axes(self, index: int) -> Axes | None:
        """The axes of a layer that can follow; None for every other one, and for the function's result."""
        if index not in self._axes:
            self._axes[index] = self._axes_of(self.layers[index]) if index < len(self.layers) else None
        return self._axes[index]

    def _axes_of(self, layer: Layer) -> Axes | None:
        follower = FOLLOWERS.get(layer.op)
        return follower.axes(layer) if follower and layer.behaviour == "follows" else None

    def wanted(self, layer: int, place: int, space: Order) -> Order | None:
        """The order in which a layer that runs in this order takes an operand; None for the model's."""
        axes = self.axes(layer)
        if axes is None or axes.is_plain:
            return space
        blocks = axes.operands[place]
        return tensor_order(blocks, space) if blocks else None

    def given(self, layer: int, place: int, space: Order) -> Order | None:
        """The order in which a layer that runs in this order gives a result; None for the model's."""
        axes = self.axes(layer)
        if axes is None or axes.is_plain:
            return space
        blocks = axes.results[place]
        return tensor_order(blocks, space) if blocks else None

    def shape(self, value: Value) -> Shape | None:
        """The sizes of a value, in which 1 stands only for an axis that can be moved at no cost; None if unknown."""
        shape = self._type(value).shape
        if shape is None or self._moves_units:
            return shape
        return tuple(str(size) for size in shape)

    def bytes(self, value: Value) -> int:
        """What a transpose of a value moves, with a guess at each dynamic size."""
        tensor = self._type(value)
        sizes = (size if isinstance(size, int) else DYNAMIC for size in tensor.shape or ())
        bits = dtype_bits(tensor.dtype) if tensor.dtype != "unknown" else 32
        return (prod(sizes) * bits + 7) // 8

    def _type(self, value: Value) -> TensorType:
        producer, place = value
        return self._arguments[value] if isinstance(producer, str) else self.layers[producer].results[place]
