"""A layer table in, its values with their readers out, seen through the model's own transposes.

A transpose of the model's own is no node here: what reads its result reads its operand, in the order that makes the
same tensor of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from corecast.model import Layer, LayerTable, Operand, TensorType, dtype_bits
from corecast.model.axes import Axes
from corecast.model.following import FOLLOWERS, RENAMING
from corecast.model.orders import Order, Shape, composed, inverse

# A result of a layer, by its index, or an argument, by its name; and which of its results.
Value: TypeAlias = tuple[int | str, int]

# What a dynamic size is taken for where bytes are compared.
DYNAMIC = 16


@dataclass(frozen=True, slots=True)
class Reader:
    """A layer and the place of an operand; `renaming` is the order of the value's axes that makes the operand of it.

    The function's result reads as well: its index is the one after the last layer's.
    """

    layer: int
    place: int
    renaming: Order | None

    def outside(self, order: Order) -> Order:
        """The order of the value in which the operand has this order."""
        return order if self.renaming is None else composed(self.renaming, order)

    def inside(self, order: Order) -> Order:
        """The order of the operand where the value has this order."""
        return order if self.renaming is None else composed(inverse(self.renaming), order)


class Wiring:
    """The values of a layer table, who reads them, and the axes of the layers that follow."""

    def __init__(self, table: LayerTable) -> None:
        self.layers = table.layers
        self.readers: dict[Value, list[Reader]] = {}
        self.aliases: dict[int, tuple[Value, Order]] = {}
        self._arguments: dict[Value, TensorType] = {}
        self._returns = table.returns
        # Relay's own pass carries layouts there, and it transposes axes of size one like all others.
        self._moves_units = table.ir != "relay"
        self._axes: dict[int, Axes | None] = {}
        for layer in table.layers:
            if layer.op in RENAMING and (alias := self._alias(layer)):
                self.aliases[layer.index] = alias
            else:
                self._read(layer.index, layer.operands)
        self._read(len(table.layers), table.returns)

    def _alias(self, layer: Layer) -> tuple[Value, Order] | None:
        operand = layer.operands[0]
        shape, axes = operand.type.shape, layer.attributes.get("axes")
        source = self.source(operand)
        if shape is None or source is None or layer.behaviour != "follows":
            return None
        rank = len(shape)
        order = tuple(int(axis) % rank for axis in axes) if isinstance(axes, tuple) else tuple(range(rank))[::-1]
        value, renaming = source
        return value, order if renaming is None else composed(renaming, order)

    def _read(self, index: int, operands: Sequence[Operand]) -> None:
        for place, operand in enumerate(operands):
            if source := self.source(operand):
                self.readers.setdefault(source[0], []).append(Reader(index, place, source[1]))

    def source(self, operand: Operand) -> tuple[Value, Order | None] | None:
        """The value that an operand is made of, and the order of its axes that makes it; None for a weight."""
        if operand.layer is not None:
            return self.aliases.get(operand.layer) or ((operand.layer, operand.result), None)
        if operand.argument is None:
            return None
        value = (operand.argument, operand.result)
        self._arguments.setdefault(value, operand.type)
        return value, None

    def operands(self, index: int) -> Sequence[Operand]:
        """What a layer reads, or what the function returns."""
        return self.layers[index].operands if index < len(self.layers) else self._returns

    def axes(self, index: int) -> Axes | None:
        """The axes of a layer that can follow; None for every other one, and for the function's result."""
        if index not in self._axes:
            self._axes[index] = self._axes_of(self.layers[index]) if index < len(self.layers) else None
        return self._axes[index]

    def _axes_of(self, layer: Layer) -> Axes | None:
        follower = FOLLOWERS.get(layer.op)
        return follower.axes(layer) if follower and layer.behaviour == "follows" else None

    def type(self, value: Value) -> TensorType:
        producer, place = value
        return self._arguments[value] if isinstance(producer, str) else self.layers[producer].results[place]

    def shape(self, value: Value) -> Shape | None:
        """The sizes of a value, in which 1 stands only for an axis that can be moved at no cost; None if unknown."""
        shape = self.type(value).shape
        if shape is None or self._moves_units:
            return shape
        return tuple(str(size) for size in shape)

    def bytes(self, value: Value) -> int:
        """What a transpose of a value moves, with a guess at each dynamic size."""
        tensor = self.type(value)
        sizes = (size if isinstance(size, int) else DYNAMIC for size in tensor.shape or ())
        bits = dtype_bits(tensor.dtype) if tensor.dtype != "unknown" else 32
        return (prod(sizes) * bits + 7) // 8
